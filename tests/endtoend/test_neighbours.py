"""Folders of users' own, whose files have the names of parts of this program."""

import os
from pathlib import Path

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import asking
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

SCRIPT = """
import anyio
from captionfleet import load_job, run_job

job = load_job(overrides={{
    "input": {{"sources": [{source!r}]}},
    "deployments": [{{"base_url": {base_url!r}, "model": "omni"}}],
    "store": {{"dir": "store"}},
    "output": {{"dir": "library"}},
}})
print(anyio.run(run_job, job).captioned)
"""


@pytest.mark.parametrize("path", ["", "."], ids=["as it is", "PYTHONPATH=."])
async def test_files_of_such_names_are_not_taken_for_the_program(
    path: str, library: Library, tmp_path: Path
) -> None:
    """The command, its workers and the library work beside a `pipeline` and a `media` of others."""
    for name in ("pipeline", "media", "config"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong file')\n")
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong file')\n")
    variables = {"PYTHONPATH": path} if path else {}
    film = os.fspath(library.films[0])
    async with serving(StandinOptions()) as standin:
        words = ("run", film, "--out", "out", "--store", "store")
        asked = asking(standin.base_url, tmp_path)
        ended = await Command(tmp_path)(*words, *asked, variables=variables)
        (tmp_path / "caption.py").write_text(SCRIPT.format(source=film, base_url=standin.base_url))
        again = await Command(tmp_path, ("caption.py",))(variables=variables)
    assert ended.exit_code == 0, ended.stderr
    assert (again.exit_code, again.stdout) == (0, "1\n"), again.stderr


async def test_causes_of_an_error_are_shown_where_they_are_asked_for(tmp_path: Path) -> None:
    """Users see one line; with CAPTIONFLEET_DEBUG, also where it came from."""
    words = ("run", "--job", "missing.toml")
    plain = await Command(tmp_path)(*words)
    shown = await Command(tmp_path)(*words, variables={"CAPTIONFLEET_DEBUG": "1"})
    assert (plain.exit_code, shown.exit_code) == (2, 2)
    assert "cannot read the job file" in plain.complaint
    assert "FileNotFoundError" in shown.stderr
    assert "Traceback" in shown.stderr
