"""The demo, as somebody sees it who has just installed the program."""

import shutil
import signal
from pathlib import Path

import pytest

from captionfleet.standin.films.library import DAMAGED, DEMO_FILMS
from tests.support.command import Command, CommandHere
from tests.support.output import Output
from tests.support.tiny_films import write_tiny_films


@pytest.mark.anyio
async def test_demo_shows_captions_and_the_damaged_clip(tmp_path: Path) -> None:
    """After a demo that was broken off, the next one ends well and shows what it made."""
    command = Command(tmp_path, is_forked=True)
    async with command.started("demo", "--out", "shown") as broken_off:
        await broken_off.until(lambda: bool(list((tmp_path / "shown").rglob("*.mp4"))))
        broken_off.send(signal.SIGKILL)
        await broken_off.process.wait()
    ended = await command("demo", "--out", "shown")
    assert (ended.exit_code, ended.stderr) == (0, "")
    output = Output(tmp_path / "shown/captions")
    output.settled_run()
    assert {line["source"] for line in output.captions} == DEMO_FILMS.keys()
    assert output.codes == {DAMAGED: "cut_off"}
    (cut,) = [line for line in output.captions if "cut_to_window" in line["flags"].split()]
    assert cut["source"] == "lecture of five minutes.mp4"
    assert output.run["cut_to_window"]["films"] == 1
    assert f"{output.run['cut_to_window']['share']:.0%} of the footage" in ended.stdout
    shown = [line for line in output.captions if f"{line['source']}\n    The clip" in ended.stdout]
    assert len(shown) == 5
    for line in shown:
        assert line["latency"]["ttft_s"] > 0
    assert {line["deployment"] for line in output.captions} == {"stand-in-a", "stand-in-b"}
    assert f"{DAMAGED}\n    failed: cut_off" in ended.stdout
    assert not any("sha256" in line["caption"] for line in output.captions)  # nor in the report
    assert "a real model writes prose" in ended.stdout
    *_, page, empty, following = ended.stdout.splitlines()
    assert (page, empty) == ("shown/captions/report.html", "")
    assert following.startswith("next: captionfleet run VIDEOS --out captions ")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.anyio
async def test_demo_over_own_videos(tmp_path: Path) -> None:
    """The first ten clips of a folder are captioned; nothing is written beside the videos."""
    films = write_tiny_films(tmp_path / "mine", 1)
    before = sorted((tmp_path / "mine").rglob("*"))
    for number in range(11):
        shutil.copy(films[0], tmp_path / f"mine/{number:02d}.mp4")
    ended = await Command(tmp_path, is_forked=True)("demo", ".")
    assert ended.exit_code == 0, ended
    output = Output(tmp_path / "demo/captions")
    assert len(output.captions) == 10
    seen = [path for path in (tmp_path / "demo").rglob("*.mp4") if "/." not in str(path)]
    assert not seen  # or a run over the folder would caption what the demo prepared
    assert "demo/captions/report.html" in ended.stdout.splitlines()
    assert ended.stdout.splitlines()[-1].startswith("next: captionfleet run . --out captions ")
    assert len(sorted((tmp_path / "mine").rglob("*"))) == len(before) + 11


def test_demo_leaves_a_folder_alone_that_is_not_its_own(tmp_path: Path, here: CommandHere) -> None:
    """A folder with something else in it is refused with exit code 3 and left as it is."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("words")
    ended = here("demo", "--out", "mine")
    assert ended.exit_code == 3
    assert ended.complaint == "mine is not empty: choose another folder with --out"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("own", ["mine.toml", "videos/holiday/mine.mp4"])
def test_demo_deletes_nothing_that_was_put_beside_its_films(
    own: str, tmp_path: Path, here: CommandHere
) -> None:
    """What a user keeps in an earlier demo's folder is named, and stays."""
    for name in (".captionfleet-demo", "videos/holiday/beach walk.mp4", own):
        (tmp_path / "demo" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "demo" / name).touch()
    ended = here("demo")
    assert ended.exit_code == 3
    assert ended.complaint == f"demo/{own} is not the demo's: choose another folder with --out"
    assert (tmp_path / "demo" / own).exists()
