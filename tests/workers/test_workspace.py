"""A run's corner of the media store: kept while the run lives, cleared when it is dead."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from captionfleet.config import StoreConfig
from captionfleet.errors import OutputError
from captionfleet.media.drafts import sha256_of
from captionfleet.messages import ReadyClip
from captionfleet.workers.eviction import stored_bytes
from captionfleet.workers.workspace import Workspace, open_workspace
from tests.support.preparing import (
    Pool,
    clip_of,
    job_of,
    prepared,
    prepared_one,
    running_pool,
    script,
    until,
)

pytestmark = pytest.mark.anyio


def corners(store: Path) -> list[Path]:
    """The folders of runs, living or dead."""
    return [path for path in (store / "runs").iterdir() if path.is_dir()]


def put(workspace: Workspace, clip_id: str, size_bytes: int = 1000) -> Path:
    """Media that a clip holds, and their entry in the store."""
    own = workspace.hold(clip_id).with_suffix(".mp4")
    own.write_bytes(bytes(size_bytes))
    os.utime(own, ns=(10**18 + workspace._given,) * 2)  # a clock may give two files one time
    entry = workspace.store / "ab" / f"{clip_id}.mp4"
    entry.parent.mkdir(exist_ok=True)
    entry.hardlink_to(own)
    workspace.grow(size_bytes)
    return own


async def until_gone(path: Path) -> None:
    """Wait until a file is removed."""
    await until(lambda: not path.exists())


def names(folder: Path, pattern: str = "*") -> list[str]:
    """What is in a folder, in order."""
    return sorted(path.name for path in folder.glob(pattern))


def fill_up(disk: Path) -> None:
    """Leave not a byte free."""
    with (disk / "other").open("wb", buffering=0) as other, suppress(OSError):
        while True:
            other.write(bytes(4096))


async def test_media_are_held_until_released(tmp_path: Path) -> None:
    """A clip's own names go when it is settled; the entry stays for later runs."""
    async with open_workspace(StoreConfig(dir=tmp_path)) as workspace:
        own = put(workspace, "one")
        other = put(workspace, "two")
        workspace.release("one")
        workspace.release("one")
        workspace.release("never held")
        await until_gone(own)
        assert other.exists()
    assert corners(tmp_path) == []
    assert names(tmp_path, "ab/*") == ["one.mp4", "two.mp4"]
    assert names(tmp_path / "runs") == []


async def test_bound_is_kept_while_the_run_goes_on(tmp_path: Path) -> None:
    """The store never holds more than max_bytes and what clips hold, the oldest going first."""
    async with open_workspace(StoreConfig(dir=tmp_path, max_bytes=16_000)) as workspace:
        for number in range(40):
            own = put(workspace, f"{number:03}")
            workspace.release(f"{number:03}")
            await until_gone(own)
            await anyio.wait_all_tasks_blocked()
            assert stored_bytes(tmp_path) <= 17_000
        left = names(tmp_path, "ab/*")
    assert left == [f"{number:03}.mp4" for number in range(40)][-len(left) :]
    assert len(left) >= 14


async def test_what_is_held_is_never_evicted(tmp_path: Path) -> None:
    """With a bound of nothing, clips keep their media until they are settled."""
    async with open_workspace(StoreConfig(dir=tmp_path, max_bytes=0)) as workspace:
        own = [put(workspace, str(number)) for number in range(10)]
        await anyio.wait_all_tasks_blocked()
        assert all(path.exists() for path in own)
        workspace.release("3")
        await until_gone(own[3])
        workspace.grow(1)
        await until_gone(tmp_path / "ab" / "3.mp4")
        assert sum(path.exists() for path in own) == 9


async def test_start_brings_the_store_within_its_bound(tmp_path: Path) -> None:
    """What earlier runs left beyond max_bytes goes at the start."""
    async with open_workspace(StoreConfig(dir=tmp_path)) as workspace:
        for number in range(20):
            put(workspace, str(number))
    assert stored_bytes(tmp_path) == 20_000
    async with open_workspace(StoreConfig(dir=tmp_path, max_bytes=5000)):
        await until(lambda: stored_bytes(tmp_path) <= 5000)


RUN = """
import sys, anyio
from pathlib import Path
from captionfleet.config import StoreConfig
from captionfleet.workers.workspace import open_workspace
async def main():
    async with open_workspace(StoreConfig(dir=Path(sys.argv[1]))) as workspace:
        workspace.hold("clip").with_suffix(".mp4").write_bytes(b"media")
        print("ready", flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


async def test_dead_runs_are_cleared_and_living_ones_spared(tmp_path: Path) -> None:
    """The next run removes what a killed run left, and nothing of a run that lives."""
    with script(RUN, str(tmp_path)) as doomed, script(RUN, str(tmp_path)):
        before = set(corners(tmp_path))
        doomed.send_signal(signal.SIGKILL)
        doomed.wait()
        async with open_workspace(StoreConfig(dir=tmp_path)):
            await until(lambda: len(corners(tmp_path)) == 2)
            (spared,) = before & set(corners(tmp_path))
            assert names(spared) == ["1.mp4"]


async def test_folders_of_others_are_not_cleared(tmp_path: Path) -> None:
    """A folder that another program keeps in `runs` stays, and so does what a link leads to."""
    theirs, elsewhere = tmp_path / "runs" / "experiment", tmp_path / "elsewhere"
    for folder in (theirs, elsewhere):
        folder.mkdir(parents=True)
        (folder / "events").write_bytes(b"theirs")
    (tmp_path / "runs" / ("a" * 16)).symlink_to(elsewhere)
    dead = tmp_path / "runs" / ("b" * 16)
    dead.mkdir()
    async with open_workspace(StoreConfig(dir=tmp_path)):
        await until_gone(dead)
    assert (theirs / "events").exists()
    assert (elsewhere / "events").exists()
    assert names(tmp_path / "runs") == ["a" * 16, "experiment"]


async def test_runs_of_a_store_are_no_link(tmp_path: Path) -> None:
    """Where `runs` is a link, the store is refused: clearing up would go astray."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="runs is a link"):
        async with open_workspace(StoreConfig(dir=tmp_path)):
            pass


async def test_new_store_is_private(tmp_path: Path) -> None:
    """A store that the run makes is open to its user alone; one that is there stays as it is."""
    (tmp_path / "shared").mkdir(mode=0o755)
    for name, mode in (("new", 0o700), ("shared", 0o755)):
        async with open_workspace(StoreConfig(dir=tmp_path / name)) as workspace:
            assert workspace.store.stat().st_mode & 0o777 == mode


async def test_later_runs_find_the_media_again(tmp_path: Path, film: Path) -> None:
    """The same film in another run is not decoded again, and has the same bytes."""
    first = await prepared_one(film, tmp_path)
    (entry,) = names(tmp_path, "??/*.mp4")
    made = (tmp_path / entry[:2] / entry).stat().st_ino
    async with running_pool(job_of(tmp_path)) as pool:
        pool.put(clip_of(film, clip_id="another prompt"))
        second = await pool.next_result()
        assert isinstance(first, ReadyClip)
        assert isinstance(second, ReadyClip)
        assert second.facts == first.facts
        assert second.video.stat().st_ino == made


async def test_equal_clips_at_once_are_both_prepared(tmp_path: Path, film: Path) -> None:
    """Two workers that make one entry at the same time do not disturb each other."""
    clips = [clip_of(film, clip_id=str(number)) for number in range(6)]
    results = await prepared(job_of(tmp_path, {"processes": 3}), clips)
    assert all(isinstance(result, ReadyClip) for result in results.values())
    assert len(names(tmp_path, "??/*.json")) == 1


async def all_results(pool: Pool, film: Path, count: int) -> list[ReadyClip]:
    """The media of windows of a film, held."""
    for seconds in range(1, count + 1):
        pool.put(clip_of(film, clip_id=str(seconds), seconds=seconds))
    results = [await pool.next_result() for _ in range(count)]
    return [result for result in results if isinstance(result, ReadyClip)]


async def test_runs_that_share_a_store_take_nothing_from_each_other(
    tmp_path: Path, long_film: Path
) -> None:
    """With room for nothing, a run keeps media that another run made, evicted and let go."""
    job = job_of(tmp_path, store={"dir": tmp_path, "max_bytes": 1})
    async with running_pool(job) as other, running_pool(job) as pool:
        made = await all_results(other, long_film, 5)
        found = await all_results(pool, long_film, 5)
        assert [inode(ready) for ready in found] == [inode(ready) for ready in made]
        for ready in made:
            other.media.release(ready.clip.clip_id)
            await until_gone(ready.video)
        other.media.grow(1)
        pool.media.release("3")
        pool.media.grow(1)
        await until(lambda: len(names(tmp_path, "??/*.json")) == 4)
        for ready in found:
            if ready.clip.clip_id != "3":
                assert sha256_of(ready.video) == ready.facts.video_sha256


def inode(ready: ReadyClip) -> int:
    """What tells whether two names are of one file."""
    return ready.video.stat().st_ino


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_full_disk_makes_room_of_what_nobody_holds(small_disk: Path, film: Path) -> None:
    """On a full disk the media of earlier clips go, and the run goes on."""
    async with open_workspace(StoreConfig(dir=small_disk)) as workspace:
        own = put(workspace, "old", 1_040_000)
        workspace.release("old")
        await until_gone(own)
    assert isinstance(await prepared_one(film, small_disk), ReadyClip)
    assert names(small_disk, "ab/old.*") == []


async def test_disk_full_of_other_things_ends_the_run(small_disk: Path, film: Path) -> None:
    """Where nothing can be freed, the run ends with the reason, and the store is left whole."""
    fill_up(small_disk)
    with pytest.raises(ExceptionGroup) as caught:
        await prepared(job_of(small_disk), [clip_of(film)])
    assert caught.group_contains(OutputError, match="No space left")
    assert names(small_disk) == ["other", "runs"]


async def test_no_place_to_write(tmp_path: Path) -> None:
    """A store below a file is refused in one line that says how to choose another one."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"\[store\] dir"):
        async with open_workspace(StoreConfig(dir=tmp_path / "file" / "store")):
            pass
