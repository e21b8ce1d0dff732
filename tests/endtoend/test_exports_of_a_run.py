"""Exports that a job asks for at the end of each run."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import write_job
from tests.support.output import Output
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

EXPORTS = """
[[export]]
to = "txt"
out = "texts"

[[export]]
to = "csv"
out = "captions.csv"
where = ["path=*0*"]

[caption]
prefix = "sks. "
"""


async def test_exports_follow_each_run_and_hold_what_is_new(
    library: Library, command: Command, output: Output, own_films: Callable[[int], Path]
) -> None:
    """A second night adds to them; a run that fails a clip exports the others."""
    videos = own_films(3)
    async with serving(StandinOptions(watch_media=False)) as standin:
        job = write_job(command.folder / "job.toml", standin)
        job.write_text(job.read_text() + EXPORTS)
        words = ("run", videos, "--job", job, "--store", library.store, "--out", "out")
        first = await command(*words, "--limit", "2")
        texts = sorted((command.folder / "texts").rglob("*.txt"))
        assert (first.exit_code, len(texts)) == (0, 2), first.stderr
        (videos / "broken.mp4").write_bytes(b"no film")
        second = await command(*words)
    assert second.exit_code == 1
    captions = {Path(line["source"]).stem: line["caption"] for line in output.captions}
    found = {path.stem: path.read_text() for path in (command.folder / "texts").rglob("*.txt")}
    assert {name: text.rstrip("\n") for name, text in found.items()} == {
        name: f"sks. {caption}" for name, caption in captions.items()
    }
    with (command.folder / "captions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum("0" in f"{videos}/{name}" for name in captions)
