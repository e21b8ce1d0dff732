"""What counts as done: the clip, the request, and failures that nothing can mend."""

import gzip
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from captionfleet import run_job
from captionfleet.errors import ConfigError, DeploymentError, OutputError
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import Standin, serving
from tests.support.command import Command
from tests.support.known_films import copy_known, know
from tests.support.nights import Nights
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

BLIND = StandinOptions(watch_media=False)

OTHER = {"request": {"prompt": "What is heard?"}}
REPLACE: dict[str, Any] = OTHER | {"output": {"recaption": True}}
CONTENT = {"input": {"identity": "content"}}


@pytest.fixture
def nights(library: Library, tmp_path: Path) -> Nights:
    return Nights(tmp_path, library.store)


def fingerprints(nights: Nights) -> list[str]:
    """The requests behind the captions, in the lines' order."""
    return [line["fingerprint"] for line in nights.output.captions]


async def test_other_name_is_the_same_film_by_content(
    own_films: Callable[[int], Path], nights: Nights
) -> None:
    """By content a renamed or touched file is done and a copy is no second clip."""
    videos = own_films(2)
    shutil.copy2(videos / "clip-00.mp4", videos / "copy.mp4")
    async with serving(BLIND) as standin:
        first = await nights.run(standin, **CONTENT)
        assert (first.captioned, first.passed_over) == (2, {"duplicate": 1})
        (videos / "clip-00.mp4").rename(videos / "other.mp4")
        (videos / "clip-01.mp4").touch()
        again = await nights.run(standin, **CONTENT)
        assert (again.planned, again.already_captioned) == (0, 3)
        assert standin.ledger.total == 2


async def test_a_file_is_read_once_to_be_known(
    own_films: Callable[[int], Path], nights: Nights
) -> None:
    """A library of renamed files and copies that stays as it is costs no reading every night."""
    videos = own_films(1)
    async with serving(BLIND) as standin:
        await nights.run(standin, **CONTENT)
        renamed = (videos / "clip-00.mp4").rename(videos / "other.mp4")
        shutil.copy2(renamed, videos / "copy.mp4")
        await nights.run(standin, **CONTENT)
        for film in videos.iterdir():  # whoever reads them again finds a film that is new
            facts, content = film.stat(), film.read_bytes()
            film.write_bytes(content[::-1])
            os.utime(film, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        again = await nights.run(standin, **CONTENT)
        assert (again.planned, again.already_captioned) == (0, 2)
        assert (await nights.run(standin)).planned == 2  # by name they are others


async def test_identity_can_be_changed_without_paying_again(
    own_films: Callable[[int], Path], nights: Nights
) -> None:
    """Captions made by content count by name, size and time too, and the other way round."""
    own_films(2)
    for first, later in (("stat", "content"), ("content", "stat")):
        shutil.rmtree(nights.output.folder, ignore_errors=True)
        async with serving(BLIND) as standin:
            await nights.run(standin, input={"identity": first})
            assert (await nights.run(standin, input={"identity": later})).already_captioned == 2
            assert standin.ledger.total == 2


async def test_another_request_is_refused(own_films: Callable[[int], Path], nights: Nights) -> None:
    """Captions of two prompts are never mixed: the run says what changed and the two ways out."""
    own_films(1)
    async with serving(BLIND) as standin:
        await nights.run(standin)
        with pytest.raises(ConfigError) as refused:
            await nights.run(standin, **OTHER)
        assert standin.ledger.total == 1
        assert (await nights.run(standin)).already_captioned == 1
    for word in ("prompt", "What is heard?", "--out", "--recaption"):
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_recaption_keeps_the_old_until_the_new_are_in(
    own_films: Callable[[int], Path], nights: Nights
) -> None:
    """Old captions stay while they are replaced; at the end each clip has its new line alone."""
    own_films(3)
    async with serving(BLIND) as standin:
        await nights.run(standin)
        old = fingerprints(nights)
        part = await nights.run(standin, **REPLACE | {"input": {"limit": 1}})
        assert (part.captioned, len(nights.output.captions)) == (1, 3)
        assert len(set(fingerprints(nights))) == 2
        rest = await nights.run(standin, **OTHER)  # said once is enough
        assert (rest.captioned, rest.already_captioned) == (2, 1)
        assert not set(fingerprints(nights)) & set(old)
        assert len(nights.output.captions) == 3
        with pytest.raises(ConfigError, match="another request"):
            await nights.run(standin)


async def test_recaption_of_nothing_changes_nothing(
    own_films: Callable[[int], Path], nights: Nights, library: Library
) -> None:
    """--recaption over sources that have no caption there is refused, and the folder stays."""
    own_films(1)
    elsewhere: dict[str, Any] = REPLACE | {"input": {"sources": [library.films[3]]}}
    for identity in ("stat", "content"):
        async with serving(BLIND) as standin:
            await nights.run(standin)
            before = {path: path.read_bytes() for path in nights.output.folder.glob("*.json*")}
            elsewhere["input"]["identity"] = identity
            with pytest.raises(ConfigError, match="nothing to replace: name the sources"):
                await nights.run(standin, **elsewhere)
            assert before == {path: path.read_bytes() for path in before}
            assert (await nights.run(standin)).already_captioned == 1


async def test_recaption_that_replaces_nothing_leaves_the_folder(
    own_films: Callable[[int], Path], nights: Nights
) -> None:
    """A replacement that fails before its first new caption hands the folder to nobody."""
    own_films(2)
    async with serving(BLIND) as standin:
        await nights.run(standin)
        job = nights.job(standin, **REPLACE)
    with pytest.raises(DeploymentError):  # it serves no more
        await run_job(job)
    async with serving(BLIND) as standin:
        assert (await nights.run(standin)).already_captioned == 2


async def test_crash_while_recaptioning_is_tidied_up(
    own_films: Callable[[int], Path], nights: Nights
) -> None:
    """Old lines that a killed run left beside their new ones go when the next run starts."""
    own_films(2)
    captions = nights.output.folder / "captions.jsonl"
    async with serving(BLIND) as standin:
        await nights.run(standin)
        old = captions.read_bytes()
        await nights.run(standin, **REPLACE)
        new = captions.read_bytes()
        captions.write_bytes(old + new.splitlines(keepends=True)[0])
        summary = await nights.run(standin, **OTHER)
        assert (summary.captioned, summary.already_captioned) == (1, 1)
        assert len(nights.output.captions) == 2


async def test_lines_of_older_versions_fit(
    own_films: Callable[[int], Path], nights: Nights
) -> None:
    """Captions that name no request count for every request."""
    own_films(2)
    captions = nights.output.folder / "captions.jsonl"
    async with serving(BLIND) as standin:
        await nights.run(standin)
        lines = [orjson.loads(line) for line in captions.read_bytes().splitlines()]
        for line in lines:
            del line["fingerprint"]
        captions.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
        (nights.output.folder / "requests.json").unlink()
        assert (await nights.run(standin, **OTHER)).already_captioned == 2


async def damaged(nights: Nights, standin: Standin) -> None:
    """A library of two films, one of them no film and the other one cut off; a night over it."""
    nights.videos.mkdir()
    (nights.videos / "text.mp4").write_bytes(b"no film" * 100)
    (nights.videos / "b\udcff\n.mp4").write_bytes(b"none either" * 100)
    summary = await nights.run(standin)
    assert (summary.failed, summary.exit_code) == (2, 1)


async def test_failures_elsewhere_stand(nights: Nights, library: Library, tmp_path: Path) -> None:
    """A run over other sources forgets no failure, until its file changes or goes."""
    async with serving(BLIND) as standin:
        await damaged(nights, standin)
        other = {"input": {"sources": [library.films[0], tmp_path / "other"]}}
        (tmp_path / "other").mkdir()
        summary = await nights.run(standin, **other)
        assert (summary.captioned, summary.exit_code, len(nights.output.failures)) == (1, 0, 2)
        (nights.videos / "text.mp4").write_bytes(b"no film, changed" * 100)
        await nights.run(standin, **other)
        assert set(nights.output.codes) == {"b\\xff\n.mp4"}
        assert (await nights.run(standin)).standing_failures == 1


async def test_permanent_failures_are_tried_again_on_request(nights: Nights) -> None:
    """What cannot be decoded is left alone until the file changes or --retry-failed names it."""
    async with serving(BLIND) as standin:
        await damaged(nights, standin)
        assert (await nights.run(standin)).standing_failures == 2
        for codes, failed in (("timeout",), 0), (("not_video",), 2), (("all",), 2):
            summary = await nights.run(standin, input={"retry_failed": codes})
            assert (summary.failed, summary.standing_failures) == (failed, 2 - failed)
            assert len(nights.output.failures) == 2
        (nights.videos / "text.mp4").write_bytes(b"no film, changed" * 100)
        assert (await nights.run(standin)).failed == 1


@pytest.mark.parametrize(
    ("flags", "failed"),
    [(["--retry-failed"], 2), (["--retry-failed=not_video"], 2), (["--retry-failed=timeout"], 0)],
)
async def test_retry_failed_is_a_flag_with_or_without_a_code(
    nights: Nights, command: Command, flags: list[str], failed: int
) -> None:
    """--retry-failed stands before sources without taking one for a code."""
    async with serving(BLIND) as standin:
        await damaged(nights, standin)
        where = ("--base-url", standin.base_url, "--model", "omni", "--out", "out", "--quiet")
        ended = await command("run", *where, *flags, "videos")
    assert ended.exit_code == 1
    assert f"{failed} failed" in ended.stdout


async def test_failures_are_listed(nights: Nights, command: Command) -> None:
    """`failures` counts by code and lists each; --paths0 gives exact paths to other programs."""
    async with serving(BLIND) as standin:
        await damaged(nights, standin)
    listed = await command("failures", "out")
    assert (listed.exit_code, listed.stdout.count("not_video")) == (0, 3)
    assert "2  not_video" in listed.stdout
    none = await command("failures", "out", "--code", "timeout")
    assert none.stdout == "no clip stands failed\n"
    words = ("-m", "captionfleet", "failures", nights.output.folder, "--paths0")
    found = (await anyio.run_process([sys.executable, *words])).stdout.split(b"\0")
    folder = str(nights.videos).encode()
    assert sorted(found) == [b"", folder + b"/b\xff\n.mp4", folder + b"/text.mp4"]
    assert (await command("failures", "nowhere")).exit_code == 2


@pytest.mark.parametrize(
    "form",
    [
        lambda path: path.write_bytes(gzip.compress(path.read_bytes())),
        lambda path: path.write_text(path.read_text(), "utf-16"),
        lambda path: path.write_text("clip,caption\na,b\n"),
        lambda path: path.rename(path.with_name("captions.jsonl.1")),
        lambda path: path.rename(path.with_name("captions.jsonl-20261125.gz")),
    ],
    ids=["gzip", "utf-16", "csv", "rotated", "rotated by date"],
)
async def test_captions_in_another_form_are_not_paid_for_again(
    form: Callable[[Path], object], own_films: Callable[[int], Path], nights: Nights
) -> None:
    """A captions.jsonl that was compressed, converted or rotated away is refused, and kept."""
    own_films(1)
    captions = nights.output.folder / "captions.jsonl"
    async with serving(BLIND) as standin:
        await nights.run(standin)
        form(captions)
        before = {path: path.read_bytes() for path in captions.parent.glob("captions*")}
        with pytest.raises(OutputError, match=r"captions\.jsonl"):
            await nights.run(standin)
        assert standin.ledger.total == 1
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize("change", ["whole seconds", "decomposed names", "other films"])
async def test_library_that_looks_new_by_its_times_alone(
    change: str, nights: Nights, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where most files have captions by their names, but not by their times, the run warns."""
    nights.videos.mkdir()
    names = [f"\u00e9 {film.name}" for film in library.films]
    for film, name in zip(library.films, names, strict=True):
        copy_known(library, film, nights.videos / name)
    async with serving(BLIND) as standin:
        await nights.run(standin)
        assert "look new" not in capsys.readouterr().err
        for film, name in zip(library.films, names, strict=True):
            copy = nights.videos / name
            if change == "whole seconds":
                whole_ns = copy.stat().st_mtime_ns // 10**9 * 10**9
                os.utime(copy, ns=(whole_ns, whole_ns))
            elif change == "decomposed names":
                copy = copy.rename(copy.with_name(unicodedata.normalize("NFD", name)))
            else:
                copy = copy.rename(copy.with_name(f"other {name}"))
            know(library, film, copy)
        again = await nights.run(standin)
    assert again.planned == len(names)
    assert ("most files look new" in capsys.readouterr().err) is (change != "other films")
