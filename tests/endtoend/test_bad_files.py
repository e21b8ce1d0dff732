"""Files that are no video, or not any more: each has its own code or is counted as passed over."""

import os
import shutil
from pathlib import Path

import pytest

from captionfleet.standin.films.film import Film, Sound, write_film
from captionfleet.standin.films.library import cut_off_no_moov
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import asking
from tests.support.output import Output, check_provenance
from tests.support.tiny_films import Library, lay_to_rest

pytestmark = pytest.mark.anyio


def fill(folder: Path, film: Path, outside: Path) -> dict[str, str]:
    """Put two sound films among all that can go wrong; return the codes by name."""
    shutil.copy2(film, folder / "sound.mp4")
    (folder / "folder.mp4").mkdir()
    shutil.copy2(film, folder / "folder.mp4/inside.mp4")
    (folder / "text.mp4").write_text("This is no film.\n")
    (folder / "noise.mkv").write_bytes(bytes(range(256)) * 40)
    (folder / "page.mp4").write_text("<!doctype html><html><title>404</title></html>")
    (folder / "script.mp4").write_text("ffconcat version 1.0\nfile sound.mp4\n")
    shutil.copy2(film, folder / "half.mp4")
    cut_off_no_moov(folder / "half.mp4")
    write_film(folder / "song.mp4", Film(seconds=1, codec=None, sounds=(Sound(),)))
    # What is passed over:
    (folder / "zero.mp4").touch()
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "unfinished.mp4.part").write_bytes(b"\0\0\0\x20ftyp")
    (folder / ".hidden.mp4").write_bytes(b"\0\0\0\x20ftyp")
    os.mkfifo(folder / "fifo.mp4")
    (folder / "leaves.mp4").symlink_to(outside)
    (folder / "dangles.mp4").symlink_to(folder / "nothing.mp4")
    (folder / "alias.mp4").symlink_to("sound.mp4")
    return {
        "text.mp4": "not_video",
        "noise.mkv": "not_video",
        "page.mp4": "not_video",
        "script.mp4": "not_video",
        "half.mp4": "cut_off",
        "song.mp4": "no_video_stream",
    }


PASSED_OVER = {
    "empty": 1, "not_video": 1, "partial": 1, "hidden": 1, "not_a_file": 1, "symlink_outside": 1,
    "broken_symlink": 1, "alias": 1,
}  # fmt: skip


async def test_each_bad_file_costs_itself_alone(
    library: Library, command: Command, output: Output
) -> None:
    """Bad files end as failures with stable codes or are passed over; the rest is captioned."""
    folder = command.folder / "videos"
    folder.mkdir()
    codes = fill(folder, library.films[0], library.films[1])
    lay_to_rest(folder)
    async with serving(StandinOptions()) as standin:
        words = (*asking(standin.base_url, command.folder), "--out", "out")
        ended = await command("run", folder, *words)
        assert (ended.exit_code, ended.stderr) == (1, "")
        run = output.settled_run()
        assert output.codes == codes
        assert all(line["permanent"] and line["attempts"] == 0 for line in output.failures)
        assert run["passed_over"] == PASSED_OVER
        assert {line["source"] for line in output.captions} == {
            "sound.mp4",
            "folder.mp4/inside.mp4",
        }
        assert standin.ledger.total == 2
        await check_what_stands(command, folder, words, output)
        assert standin.ledger.total == 2
    assert "4 not_video" in ended.stdout


async def check_what_stands(
    command: Command, folder: Path, words: tuple[str, ...], output: Output
) -> None:
    """Permanent failures are not tried again, and go once their file is mended or gone."""
    failures = output.failures
    again = await command("run", folder, *words, "--quiet")
    assert again.exit_code == 1
    run = output.settled_run()
    assert (run["planned"], run["standing_failures"]) == (0, len(failures))
    assert output.failures == failures
    for name in output.codes:
        (folder / name).unlink()
    assert (await command("run", folder, *words, "--quiet")).exit_code == 0
    assert output.settled_run()["standing_failures"] == 0


async def test_file_named_outright_is_never_passed_over(
    library: Library, command: Command, output: Output
) -> None:
    """Whatever its ending, a file that is named fails with a code if it cannot be captioned."""
    (command.folder / "zero.mp4").touch()
    (command.folder / "words.md").write_text("# Words\n")
    shutil.copy2(library.films[0], command.folder / "film.jpg")
    async with serving(StandinOptions()) as standin:
        words = (*asking(standin.base_url, command.folder), "--out", "out")
        ended = await command("run", "zero.mp4", "words.md", "film.jpg", *words)
        assert ended.exit_code == 1
        output.settled_run()
        check_provenance(output.captions, standin)
    assert output.codes == {"zero.mp4": "empty_file", "words.md": "not_video"}
    assert output.failures[0]["stage"] == "producer"
    assert [line["source"] for line in output.captions] == ["film.jpg"]
