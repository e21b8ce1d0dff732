"""Exports that a job asks for at the end of each run."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command, CommandHere
from tests.support.job_file import write_job
from tests.support.output import Output
from tests.support.replica import echo, scripted
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


OF_REQUESTS = """
[[export]]
to = "txt"
out = "texts"
where = ["request=tags"]

[[export]]
to = "csv"
out = "captions.csv"
"""


async def test_exports_of_several_requests_hold_what_is_new(
    library: Library, command: Command, own_films: Callable[[int], Path]
) -> None:
    """A night that replaces one request replaces its texts alone, and leaves the others."""
    videos, texts = own_films(2), command.folder / "texts"
    tables = [{"name": name, "prompt": f"{name} {{path.stem}}"} for name in ("short", "tags")]
    async with scripted() as replica:
        replica.default = echo()

        async def night(*flags: str, tags: str = "tags {path.stem}") -> str:
            requests = [tables[0], tables[1] | {"prompt": tags}]
            each = [one | {"prompt_template": True} for one in requests]
            job = write_job(command.folder / "job.toml", replica.base_url, tables={"request": each})
            job.write_text(job.read_text() + OF_REQUESTS)
            words = ("run", videos, "--job", job, "--store", library.store, "--out", "out")
            ended = await command(*words, *flags)
            assert ended.exit_code == 0, ended.stderr
            return ended.stdout

        first = await night("--limit", "1")
        assert "1 files written" in first
        second = await night()
        assert "1 files as they were, 1 files written" in second
        flags = ("--recaption", "--only-request", "tags")
        third = await night(*flags, tags="other {path.stem}")
        assert "2 files written" in third
    found = {path.name: path.read_text() for path in texts.rglob("*.txt")}
    assert found == {f"clip-0{n}.tags.txt": f"other clip-0{n}\n" for n in range(2)}
    with (command.folder / "captions.csv").open(newline="") as file:
        rows = {(row["source"], row["request"]): row["caption"] for row in csv.DictReader(file)}
    assert rows == {
        (f"clip-0{number}.mp4", name): f"{word} clip-0{number}"
        for number in range(2)
        for name, word in (("short", "short"), ("tags", "other"))
    }


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


def test_check_and_dry_run_end_with_the_code_of_a_run(here: CommandHere) -> None:
    """An export that is not possible is found before a run would refuse it."""
    Path("film.mp4").write_bytes(b"no film")
    Path("job.toml").write_text(
        """
[input]
sources = ["film.mp4"]
[[deployments]]
base_url = "http://127.0.0.1:9/v1"
model = "omni"
api_key_env = ""
[[export]]
to = "txt"
where = ["code=undecodable"]
"""
    )
    words = "code=: failed clips have no caption to export as txt"
    checked = here("check", "--job", "job.toml", "--no-canary")
    dry = here("run", "--job", "job.toml", "--dry-run")
    assert (checked.exit_code, dry.exit_code) == (2, 2)
    assert f"fail  export                 {words}" in checked.stdout
    assert dry.complaint.startswith(words)
