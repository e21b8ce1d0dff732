"""No room for the output: the run says so and ends, nothing is torn, the next one goes on."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import asking
from tests.support.nights import Nights
from tests.support.output import Output
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

CLIPS = 6
# What the program is told is that no file may grow beyond so many bytes.
LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
runpy.run_module("captionfleet", run_name="__main__")
"""


async def test_no_room_for_many_at_once(command: Command, output: Output) -> None:
    """However many clips wait for their lines when one cannot be written, the run says why."""
    listed = command.folder / "list.txt"
    listed.write_text("".join(f"missing-{number}.mp4\n" for number in range(500)))
    async with serving(StandinOptions()) as standin:
        words = ("--base-url", standin.base_url, "--model", "omni", "--out", "out")
        limited = Command(command.folder, ("-c", LIMITED, "20000"))
        # Python would cut its own compiled files off there.
        variables = {"PYTHONDONTWRITEBYTECODE": "1"}
        ended = await limited("run", listed, *words, variables=variables)
    assert ended.exit_code == 3
    assert "failures.jsonl: File too large" in ended.complaint
    assert 0 < len(output.failures) < 500


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    words = (mount or "false", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder)
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield folder
    subprocess.run(("umount", folder), check=True)


async def test_full_disk(
    own_films: Callable[[int], Path], library: Library, command: Command, small_disk: Path
) -> None:
    """On a full disk the run ends with exit code 3, and goes on once there is room."""
    own_films(CLIPS)
    room = small_disk / "ballast"
    async with serving(StandinOptions(slots=1, service_time_s=0.1)) as standin:
        where = (*asking(standin.base_url, command.folder), "--store", library.store)
        words = ("run", "videos", "--out", small_disk / "out", *where)
        room.write_bytes(b"x" * 52_000)
        ended = await command(*words)
        assert ended.exit_code == 3
        assert "captions.jsonl: No space left on device (free some space" in ended.complaint
        kept = Output(small_disk / "out").captions
        room.unlink()
        assert (await command(*words)).exit_code == 0
    output = Output(small_disk / "out")
    assert output.captions[: len(kept)] == kept
    assert len(output.captions) == CLIPS


async def test_line_that_fits_only_in_part(
    own_films: Callable[[int], Path], library: Library, command: Command, tmp_path: Path
) -> None:
    """A line of which the disk takes only the beginning is not in the file."""
    own_films(CLIPS)
    nights = Nights(tmp_path, library.store)
    captions = nights.output.folder / "captions.jsonl"
    async with serving(StandinOptions(slots=1)) as standin:
        await nights.run(standin, input={"limit": 1})
        with captions.open("ab") as file:
            file.write(captions.read_bytes()[:-2] + b" " * 400_000 + b"}\n")
        room = captions.stat().st_size + 700
        where = (*asking(standin.base_url, command.folder), "--store", library.store)
        words = ("run", "videos", "--out", "out", *where)
        limited = Command(tmp_path, ("-c", LIMITED, str(room)))
        ended = await limited(*words)
        assert ended.exit_code == 3
        assert "File too large" in ended.complaint
        assert captions.read_bytes().endswith(b"}\n")
        again = await command(*words)
        assert again.exit_code == 0
    assert len(nights.output.captions) == CLIPS
