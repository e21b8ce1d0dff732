"""From a folder of videos to captions.jsonl, through the command."""

import base64
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from captionfleet.messages import printable
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import Standin, serving
from tests.support.command import Command, workers_of
from tests.support.job_file import asking
from tests.support.output import Output, check_provenance
from tests.support.tiny_films import PREPARED_HEIGHT_PX, Library, shown_width_px

Films = Callable[[int], Path]

pytestmark = pytest.mark.anyio

NOT_UTF8 = os.fsdecode(b"caf\xe9.mp4")
ODD_NAMES = (
    "plain.mp4",
    "with spaces and 'quotes' and \"more\".mp4",
    "two\nlines.mp4",
    "emoji \N{CLAPPER BOARD}\N{VARIATION SELECTOR-16}.mp4",
    "-o.mp4",
    "~ $HOME $(id) `id` *?[a].mp4",
    "\u202eright to left.mp4",
    f"sub folder/{NOT_UTF8}",
    "sub folder/deeper/plain.mp4",
    "UPPER.MP4",
)


def arguments(standin: Standin, *sources: str, out: str = "out") -> list[str]:
    """The command line of a user with a folder of videos and a deployment."""
    where = ("--base-url", standin.base_url, "--model", "omni")
    return ["run", *(sources or ("videos",)), "--out", out, *where]


def lean(folder: Path, standin: Standin, *sources: str, out: str = "out") -> list[str | Path]:
    """The same without the report, which takes half a second."""
    asked = asking(standin.base_url, folder)
    return ["run", *(sources or ("videos",)), "--out", out, *asked]


def place(films: list[Path], folder: Path) -> dict[str, int]:
    """Copy a film under each odd name; return the film's number by the name a line will have."""
    for number, name in enumerate(ODD_NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(films[number], folder / name)
    return {printable(name): number for number, name in enumerate(ODD_NAMES)}


def store_state(folder: Path) -> dict[Path, int]:
    """Every file of a media store and when it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


async def test_every_file_gets_the_caption_of_its_own_picture(
    library: Library, tmp_path: Path, output: Output
) -> None:
    """Whatever its name, each file ends as one line whose caption shows that file's picture."""
    command = Command(tmp_path)  # as its users start it
    numbers = place(library.films, command.folder / "videos")
    async with serving(StandinOptions()) as standin:
        ended = await command(*arguments(standin))
        assert (ended.exit_code, ended.stderr) == (0, "")
        assert output.settled_run()["captioned"] == standin.ledger.total == len(numbers)
        check_provenance(output.captions, standin)
    assert {line["source"] for line in output.captions} == numbers.keys()
    for line in output.captions:
        size = f"{shown_width_px(numbers[line['source']])}x{PREPARED_HEIGHT_PX}"
        assert f"frames of {size} pixels" in line["caption"]
    (undecodable,) = (line for line in output.captions if line["source_b64"])
    assert base64.b64decode(undecodable["source_b64"]) == os.fsencode(f"sub folder/{NOT_UTF8}")


async def test_second_run_does_only_what_is_new(
    own_films: Films, library: Library, cold_command: Command, output: Output
) -> None:
    """A second run sends and prepares nothing; with a new file it sends that file alone."""
    folder = own_films(4)
    async with serving(StandinOptions()) as standin:
        assert (await cold_command(*lean(cold_command.folder, standin))).exit_code == 0
        lines, store = output.captions, store_state(cold_command.folder / "cache")
        assert store
        assert (await cold_command(*lean(cold_command.folder, standin))).exit_code == 0
        assert standin.ledger.total == 4
        assert output.captions == lines
        assert store_state(cold_command.folder / "cache") == store
        run = output.settled_run()
        assert (run["planned"], run["already_captioned"]) == (0, 4)
        shutil.copy2(library.films[4], folder / "new.mp4")
        assert (await cold_command(*lean(cold_command.folder, standin))).exit_code == 0
        assert standin.ledger.total == 5
        assert output.captions[:4] == lines
        assert output.captions[4]["source"] == "new.mp4"
        check_provenance(output.captions, standin)


async def test_prepared_media_serve_a_run_with_another_prompt(
    own_films: Films, cold_command: Command
) -> None:
    """Another output folder and prompt mean new requests, with the media of the first run."""
    own_films(2)
    async with serving(StandinOptions()) as standin:
        await cold_command(*lean(cold_command.folder, standin))
        store = store_state(cold_command.folder / "cache")
        again = await cold_command(
            *lean(cold_command.folder, standin, out="again"), "--prompt", "What is heard?"
        )
        assert again.exit_code == 0
        assert standin.ledger.total == 4
    media = [
        {line["source"]: line["media"] for line in Output(cold_command.folder / folder).captions}
        for folder in ("out", "again")
    ]
    assert media[0] == media[1]
    after = store_state(cold_command.folder / "cache")
    written = {path: time for path, time in store.items() if path.suffix in {".mp4", ".ogg"}}
    assert {path: after[path] for path in written} == written


async def test_changed_file_is_captioned_anew(
    own_films: Films, library: Library, command: Command, output: Output
) -> None:
    """A file with other content under the same name is another clip."""
    folder = own_films(1)
    async with serving(StandinOptions()) as standin:
        await command(*lean(command.folder, standin))
        shutil.copy2(library.films[1], folder / "clip-00.mp4")
        assert (await command(*lean(command.folder, standin))).exit_code == 0
        check_provenance(output.captions, standin)
    widths = [line["media"]["width"] for line in output.captions]
    assert widths == [shown_width_px(0), shown_width_px(1)]


async def test_limit_leaves_the_rest_to_the_next_run(
    own_films: Films, command: Command, output: Output
) -> None:
    """With --limit a run stops after so many clips, and the next one goes on from there."""
    own_films(5)
    async with serving(StandinOptions()) as standin:
        await command(*lean(command.folder, standin), "--limit", "2")
        assert output.line_count() == standin.ledger.total == 2
        assert (await command(*lean(command.folder, standin))).exit_code == 0
        check_provenance(output.captions, standin)
    assert output.settled_run()["captioned"] == 3


async def test_list_and_files_are_sources_too(
    own_films: Films, library: Library, command: Command, output: Output
) -> None:
    """A list of paths and files named outright, of any ending, are captioned, each once."""
    own_films(2)
    shutil.copy2(library.films[2], command.folder / "no ending")
    (command.folder / "wanted.txt").write_text(
        "videos/clip-00.mp4\nvideos/clip-01.mp4\nmissing.mp4\n"
    )
    async with serving(StandinOptions()) as standin:
        sources = ("wanted.txt", "no ending", "videos/clip-01.mp4")
        ended = await command(*lean(command.folder, standin, *sources))
        assert ended.exit_code == 1
        assert standin.ledger.total == 3
    output.settled_run()
    assert output.codes == {"missing.mp4": "source_missing"}


async def test_job_file_holds_it_all(own_films: Films, command: Command) -> None:
    """A job file is enough; its paths count from its own folder, wherever the command runs."""
    own_films(2)
    async with serving(StandinOptions()) as standin:
        (command.folder / "job.toml").write_text(
            '[input]\nsources = ["videos"]\n[output]\ndir = "captions"\nreport = false\n'
            f'[[deployments]]\nname = "own"\nbase_url = "{standin.base_url}"\nmodel = "omni"\n'
        )
        (command.folder / "elsewhere").mkdir()
        elsewhere = replace(command, folder=command.folder / "elsewhere")
        ended = await elsewhere("run", "--job", command.folder / "job.toml", "--quiet")
        assert ended.exit_code == 0
        assert ended.stdout.startswith("captionfleet: 2 captioned, 0 failed")
        assert ended.stdout.count("\n") == 1
    lines = Output(command.folder / "captions").captions
    assert {line["deployment"] for line in lines} == {"own"}


async def test_nothing_is_left_open_or_behind(own_films: Films, tmp_path: Path) -> None:
    """With warnings as errors a run says nothing, and it leaves no process and no scrap file."""
    command = Command(tmp_path)
    own_films(2)
    async with serving(StandinOptions()) as standin:
        variables = {"PYTHONWARNINGS": "error"}
        async with command.started(*arguments(standin), variables=variables) as running:
            ended = await running.ended()
        assert workers_of(running.process.pid) == []
        assert standin.ledger.total == 2  # what workers prepared, as no store knows the films
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert list((command.folder / "tmp").iterdir()) == []
    files = {path.name for path in (command.folder / "out").iterdir() if path.is_file()}
    names = "captions.jsonl failures.jsonl report.html requests.json run.json timeline.json"
    assert files == {".lock", *names.split()}
