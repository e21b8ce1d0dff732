"""What a run would do, and captions that are asked for again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import write_job
from tests.support.known_films import know
from tests.support.nights import Nights
from tests.support.output import Output
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio


async def test_only_the_captions_that_are_chosen_are_asked_for_again(
    library: Library, command: Command, output: Output, own_films: Callable[[int], Path]
) -> None:
    """By name and by what their lines say; the others stay, and are not paid again."""
    videos = own_films(6)
    first, second, *_ = sorted(videos.iterdir())
    (command.folder / "again.txt").write_text(f"# two\n\nvideos/{second.name}\n")
    async with serving(StandinOptions(watch_media=False)) as standin:
        job = write_job(command.folder / "job.toml", standin)
        words = ("run", videos, "--job", job, "--store", library.store, "--out", "out")
        assert (await command(*words)).exit_code == 0
        before = {line["source"]: line for line in output.captions}

        named = await command(*words, "--recaption", "--where", f"path=*{first.name}")
        assert named.exit_code == 0, named.stderr
        assert standin.ledger.total == 7

        listed = await command(
            *words, "--recaption", "--from-list", "again.txt", "--prompt", "What is it?"
        )
        assert listed.exit_code == 0, listed.stderr
        assert standin.ledger.total == 8

        nightly = await command(*words)
        assert (nightly.exit_code, standin.ledger.total) == (0, 8)
    after = {line["source"]: line for line in output.captions}
    changed = {name for name, line in after.items() if line != before[name]}
    assert (len(output.captions), changed) == (6, {first.name, second.name})
    prints = {name: line["fingerprint"] for name, line in after.items()}
    assert prints[first.name] == before[first.name]["fingerprint"] != prints[second.name]


async def test_chosen_captions_of_films_that_are_known_by_content(
    library: Library, tmp_path: Path, own_films: Callable[[int], Path]
) -> None:
    """By the name that a film had, by its new one, and by that of a copy: each is paid once."""
    videos, nights = own_films(4), Nights(tmp_path, library.store)
    by_content = {"identity": "content"}
    async with serving(StandinOptions(watch_media=False)) as standin:
        await nights.run(standin, input=by_content)
        before = {line["clip_id"]: line for line in nights.output.captions}
        films = {line["source"]: line["clip_id"] for line in before.values()}

        renamed = (videos / "clip-01.mp4").rename(videos / "renamed.mp4")
        copy = Path(shutil.copy2(videos / "clip-02.mp4", videos / "a-copy.mp4"))
        for number, film in ((1, renamed), (2, copy)):
            know(library, library.films[number], film)
        assert (await nights.run(standin, input=by_content)).planned == 0

        where = {"recaption": True, "recaption_where": ["path=*clip-00.mp4"]}
        assert (await nights.run(standin, input=by_content, output=where)).captioned == 1
        (tmp_path / "again.txt").write_text(f"{renamed}\n{copy}\n")
        listed = {"recaption": True, "recaption_list": tmp_path / "again.txt"}
        assert (await nights.run(standin, input=by_content, output=listed)).captioned == 2

        assert (await nights.run(standin, input=by_content)).planned == 0
        assert standin.ledger.total == 7
    after = {line["clip_id"]: line for line in nights.output.captions}
    assert after.keys() == before.keys()
    kept = {clip for clip, line in after.items() if line == before[clip]}
    assert kept == {films["clip-03.mp4"]}


async def test_choice_that_matches_nothing_changes_nothing(
    library: Library, command: Command, output: Output, own_films: Callable[[int], Path]
) -> None:
    """It is said before anything is sent."""
    videos = own_films(2)
    async with serving(StandinOptions(watch_media=False)) as standin:
        job = write_job(command.folder / "job.toml", standin)
        words = ("run", videos, "--job", job, "--store", library.store, "--out", "out")
        await command(*words)
        lines = output.captions
        ended = await command(*words, "--recaption", "--where", "flag=degenerate")
        without = await command(*words, "--where", "flag=degenerate")
    assert (ended.exit_code, "no caption in" in ended.complaint) == (2, True)
    assert (without.exit_code, "recaption = true" in without.complaint) == (2, True)
    assert output.captions == lines


async def test_dry_run_says_what_a_run_would_do_and_does_nothing(
    library: Library, command: Command, own_films: Callable[[int], Path]
) -> None:
    """Counts by reason, and one line for each clip; no file is made and no request is sent."""
    videos = own_films(4)
    (videos / "broken.mp4").write_bytes(b"no film")
    (videos / "notes.txt").write_text("x")
    async with serving(StandinOptions(watch_media=False)) as standin:
        job = write_job(command.folder / "job.toml", standin)
        words = ("run", videos, "--job", job, "--store", library.store, "--out", "out")
        new = await command(*words, "--dry-run")
        assert not (command.folder / "out").exists()
        assert standin.requests == ()
        await command(*words, "--limit", "2")
        sent, before = standin.ledger.total, sorted((command.folder / "out").iterdir())
        listed = await command(*words, "--dry-run", "--list")
        assert standin.ledger.total == sent
        assert sorted((command.folder / "out").iterdir()) == before
    assert new.exit_code == 0
    assert "would caption 5 clips: 5 new" in new.stdout
    rows = [line.split("\t") for line in listed.stdout.splitlines()]
    assert len(rows) == 3
    assert {reason for reason, *_ in rows} <= {"new", "failed before"}
    assert all(Path(path).parent == videos for *_, path in rows)
    assert "2 captioned before" in listed.stderr or "1 captioned before" in listed.stderr
