"""Files made to hurt cost themselves, and read nothing but themselves."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from captionfleet.errors import FailureCode
from captionfleet.messages import Clip, Failure, ReadyClip, Source
from tests.support import hostile_files as hostile
from tests.support import odd_files as odd
from tests.support.preparing import (
    Result,
    a_worker_reading,
    clip_of,
    job_of,
    prepared,
    prepared_one,
    running_pool,
    worker_pids,
)

pytestmark = pytest.mark.anyio

HOSTILE: dict[Callable[[Path], Path], FailureCode] = {
    odd.text_renamed: FailureCode.NOT_VIDEO,
    odd.ffconcat_renamed: FailureCode.NOT_VIDEO,
    odd.hls_renamed: FailureCode.NOT_VIDEO,
    hostile.hls_of_a_file_url: FailureCode.NOT_VIDEO,
    hostile.hls_of_a_data_url: FailureCode.NOT_VIDEO,
    hostile.dash_renamed: FailureCode.NOT_VIDEO,
    hostile.sdp_renamed: FailureCode.NOT_VIDEO,
    hostile.other_files_media: FailureCode.CUT_OFF,
    odd.empty_file: FailureCode.EMPTY_FILE,
    odd.moov_missing: FailureCode.CUT_OFF,
    odd.zero_streams: FailureCode.NO_VIDEO_STREAM,
    odd.zero_tracks_matroska: FailureCode.NO_VIDEO_STREAM,
    hostile.index_without_media: FailureCode.CUT_OFF,
    odd.bomb_gif: FailureCode.LIMIT_EXCEEDED,
    odd.bomb_30000: FailureCode.UNDECODABLE,
    hostile.many_streams: FailureCode.OUT_OF_MEMORY,
    hostile.index_bomb: FailureCode.UNDECODABLE,
}
QUICKLY_S = 20


async def test_hostile_files_end_as_a_code(tmp_path: Path) -> None:
    """Each fails with the code that is true of it, quickly, and no worker dies of it."""
    clips = {writer(tmp_path): code for writer, code in HOSTILE.items()}
    settings = {"clip_timeout_s": QUICKLY_S, "memory_bytes": 2**30}
    async with running_pool(job_of(tmp_path / "store", settings)) as pool:
        pids = set()
        codes = {}
        for path in clips:
            pool.put(clip_of(path))
            result = await pool.next_result()
            assert isinstance(result, Failure)
            codes[path.name] = result.code
            pids.update(worker_pids())
        assert codes == {path.name: code for path, code in clips.items()}
        assert len(pids) == 1


async def test_file_of_nothing_but_errors_is_given_up(tmp_path: Path) -> None:
    """Decoding ends after more errors than a clip can have packets, not at the deadline."""
    result = await prepared_one(hostile.countless_packets(tmp_path), tmp_path / "store")
    assert isinstance(result, Failure)
    assert result.code is FailureCode.UNDECODABLE
    assert "hardly a packet" in result.detail


NAMES = (
    "http:film.mp4", "concat:film.mp4|film.mp4", "file:film.mp4", "fd:", "pipe:0", "-",
    "subfile,,start,0,end,0,,:film.mp4", "film%03d.mp4", "film*.mp4", "data:film.mp4",
    "lavfi:testsrc", "new\nline.mp4", "\udce9t\udce9.mp4", "\udcff\udcfe.mkv", "\u202egpj.mp4",
    'quote"\'.mp4', " .mp4", "a" * 250 + ".mp4",
)  # fmt: skip


async def test_names_are_names(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is taken for a protocol, a pattern, an option or text in UTF-8."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        shutil.copyfile(film, name)
    clips = [clip_of(Path(name)) for name in NAMES]
    results = await prepared(job_of(tmp_path / "store", {"processes": 2}), clips)
    assert {name for name in NAMES if isinstance(results[name], ReadyClip)} == set(NAMES)


async def code_of(store: Path, *clips: Clip) -> set[str]:
    """The codes with which clips fail."""
    results: dict[str, Result] = await prepared(job_of(store), clips)
    return {
        result.code if isinstance(result, Failure) else "prepared" for result in results.values()
    }


def make_fifo(path: Path) -> None:
    """A FIFO: whoever opens it to read waits for a writer."""
    os.mkfifo(path)


def make_device(path: Path) -> None:
    """A link to a device that never ends."""
    path.symlink_to("/dev/zero")


def make_folder(path: Path) -> None:
    """A folder with a video's name."""
    path.mkdir()


def make_socket(path: Path) -> None:
    """A socket's name."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))


def make_loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path)


@pytest.mark.parametrize("make", [make_fifo, make_device, make_folder, make_socket, make_loop])
async def test_what_is_no_file_is_not_opened(
    tmp_path: Path, film: Path, make: Callable[[Path], None]
) -> None:
    """A file that was replaced by something else is refused at once, without waiting for it."""
    clip = clip_of(film)
    vanish(film)
    make(film)
    assert await code_of(tmp_path / "store", clip) == {FailureCode.SOURCE_UNREADABLE}


def vanish(path: Path) -> None:
    """Remove it."""
    path.unlink()


def grow(path: Path) -> None:
    """As a file that is still being copied."""
    with path.open("ab") as file:
        file.write(bytes(100))


def shrink(path: Path) -> None:
    """As a file that is written anew."""
    os.truncate(path, 10_000)


def empty(path: Path) -> None:
    """As one that is about to be written anew."""
    os.truncate(path, 0)


def touch(path: Path) -> None:
    """Same size, other time."""
    os.utime(path, (1, 1))


def swap_link(path: Path) -> None:
    """A link to another film in its place."""
    shutil.copyfile(path, path.with_name("other.mp4"))
    path.unlink()
    path.symlink_to("other.mp4")


CHANGES = [vanish, grow, shrink, empty, touch, swap_link]


@pytest.mark.parametrize("change", CHANGES)
async def test_file_that_changed_since_it_was_found(
    tmp_path: Path, film: Path, change: Callable[[Path], None]
) -> None:
    """Only the file that was found is read; another one in its place fails, not for ever."""
    clip = clip_of(film)
    change(film)
    assert await code_of(tmp_path / "store", clip) == {FailureCode.SOURCE_CHANGED}


@pytest.mark.parametrize("change", CHANGES)
async def test_file_that_changes_while_it_is_read(
    tmp_path: Path, slow_film: Path, change: Callable[[Path], None]
) -> None:
    """What was made of a file that changed meanwhile is thrown away, whatever came of it."""
    async with running_pool(job_of(tmp_path / "store")) as pool:
        pool.put(clip_of(slow_film))
        await a_worker_reading(slow_film)
        change(slow_film)
        result = await pool.next_result()
    assert isinstance(result, Failure)
    assert result.code is FailureCode.SOURCE_CHANGED
    assert not result.code.permanent
    assert not list_store(tmp_path / "store")


def list_store(store: Path) -> list[Path]:
    """The files of all entries."""
    return list(store.glob("??/*"))


async def test_name_that_cannot_be_a_path(tmp_path: Path, film: Path) -> None:
    """A name with a null byte, from a list, is a failure of that clip."""
    facts = clip_of(film).source
    source = Source("film\0.mp4", "film", facts.size_bytes, facts.mtime_ns)
    clip = Clip("null", source, 0, 60)
    assert await code_of(tmp_path / "store", clip) == {FailureCode.SOURCE_UNREADABLE}
