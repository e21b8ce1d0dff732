"""Prepared media are found again, intact or not at all, whatever writes or dies meanwhile."""

import errno
import fcntl
import mmap
import os
import resource
import signal
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from captionfleet.errors import StoreError
from captionfleet.media.drafts import drafts, sha256_of
from captionfleet.messages import MediaFacts, MediaSpec, base64_bytes
from captionfleet.workers.eviction import evict
from captionfleet.workers.store import MediaStore, StoredMedia, media_key
from captionfleet.workers.taking import NotAsReportedError, replaced_by_copy
from tests.support.preparing import clip_of, script

KEY = "ab" + "0" * 38


def facts_of(video: Path, audio: Path | None) -> MediaFacts:
    """Facts that are true of the bytes."""
    return MediaFacts(
        frames=2,
        width=640,
        height=360,
        has_audio=audio is not None,
        audio_s=2.0 if audio else 0.0,
        sampling="exact",
        video_bytes=video.stat().st_size,
        audio_bytes=audio.stat().st_size if audio else 0,
        payload_bytes=base64_bytes(video.stat().st_size, audio.stat().st_size if audio else 0),
        video_sha256=sha256_of(video),
        audio_sha256=sha256_of(audio) if audio else None,
        source_codec="h264",
        source_width=640,
        source_height=360,
        source_s=2.0,
        frame_times_s=(0.0, 1.0),
    )


def made_by_a_worker(folder: Path, *, video: bytes = b"v", audio: bytes = b"a") -> Path:
    """What a worker leaves in a folder of its own, by its name without endings."""
    own = folder / "runs" / "worker" / os.urandom(4).hex()
    own.with_suffix(".mp4").write_bytes(video)
    own.with_suffix(".ogg").write_bytes(audio)
    return own


def keep(folder: Path, name: str = "writer", key: str = KEY, **media: bytes) -> StoredMedia:
    """Have an entry made of media; `name` is what the clip holds it by."""
    own = made_by_a_worker(folder, **media)
    facts = facts_of(own.with_suffix(".mp4"), own.with_suffix(".ogg"))
    reported = replace(facts, video_sha256="", audio_sha256=None)
    return MediaStore(folder).keep(key, own, folder / "runs" / name, reported, 2**20)


def found(folder: Path, hold: str = "reader", key: str = KEY) -> StoredMedia | None:
    """Look for an entry under another name."""
    return MediaStore(folder).find(key, folder / "runs" / hold)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "runs" / "worker").mkdir(parents=True)
    return tmp_path


def test_what_is_kept_is_found(folder: Path) -> None:
    """Another clip with the same key gets the same bytes and facts under its own names."""
    keep(folder, "writer", video=b"video", audio=b"sound")
    media = found(folder)
    assert media is not None
    assert media.audio is not None
    assert (media.video.read_bytes(), media.audio.read_bytes()) == (b"video", b"sound")
    assert media.video.parent == folder / "runs"
    assert media.facts == facts_of(media.video, media.audio)


def test_what_a_clip_holds_outlives_its_entry(folder: Path) -> None:
    """Eviction takes nothing from a clip that made the media, nor from one that found them."""
    writer = keep(folder, video=b"video").video
    media = found(folder)
    assert media is not None
    for path in folder.glob("??/*"):
        path.unlink()
    assert media.video.read_bytes() == writer.read_bytes() == b"video"
    assert found(folder, "late") is None


@pytest.mark.parametrize("ending", [".mp4", ".ogg", ".json"])
@pytest.mark.parametrize("damage", ["gone", "empty", "changed"])
def test_damaged_entries_are_not_found(folder: Path, ending: str, damage: str) -> None:
    """An entry of which a byte is wrong or missing is a miss, holds nothing, and is replaced."""
    keep(folder, "writer")
    path = (folder / "ab" / KEY).with_suffix(ending)
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(b"" if damage == "empty" else b"!" + content[1:])
    assert found(folder) is None
    assert not list((folder / "runs").glob("reader*"))
    keep(folder, "again")
    assert found(folder) is not None


def test_failed_block_leaves_nothing(folder: Path) -> None:
    """Drafts of a clip that fails are removed."""
    with suppress(KeyError), drafts(folder / "runs" / "worker" / "1") as (video, _):
        video.write_bytes(b"half")
        raise KeyError
    assert not list((folder / "runs" / "worker").iterdir())


def remove(folder: Path) -> Path:
    """Take a folder away; return what was in it."""
    folder.rmdir()
    return folder / "film.mp4"


def test_only_a_broken_store_is_the_stores_trouble(folder: Path) -> None:
    """An error that libav makes of a film is the film's; one of a store that is gone, the run's."""
    own = folder / "runs" / "worker" / "1"
    with pytest.raises(PermissionError), drafts(own):
        raise PermissionError(errno.EPERM, "so says a demuxer of damaged data")
    with pytest.raises(StoreError), drafts(own) as (video, _):
        remove(video.parent).touch()
    with pytest.raises(StoreError), drafts(own):
        raise OSError(errno.ENOSPC, "no space")


def test_second_try_spares_the_entry(folder: Path) -> None:
    """A clip that is made again does not write into an entry through its links."""
    first = keep(folder, video=b"first").video.stat().st_ino
    keep(folder, video=b"again")
    media = found(folder)
    assert media is not None
    assert media.video.read_bytes() == b"again"
    assert media.video.stat().st_ino != first


def plant_link(own: Path) -> None:
    own.with_suffix(".mp4").unlink()
    own.with_suffix(".mp4").symlink_to("/etc/passwd")


def plant_fifo(own: Path) -> None:
    own.with_suffix(".ogg").unlink()
    os.mkfifo(own.with_suffix(".ogg"))


def plant_folder(own: Path) -> None:
    own.with_suffix(".mp4").unlink()
    own.with_suffix(".mp4").mkdir()


def plant_nothing(own: Path) -> None:
    own.with_suffix(".mp4").unlink()


def plant_too_much(own: Path) -> None:
    os.truncate(own.with_suffix(".mp4"), 2**40)  # a hole: no disk is needed


def keep_a_name(own: Path) -> None:
    own.with_name("later").hardlink_to(own.with_suffix(".mp4"))


@pytest.mark.parametrize(
    "plant", [plant_link, plant_fifo, plant_folder, plant_nothing, plant_too_much, keep_a_name]
)
def test_what_a_worker_must_not_leave(folder: Path, plant: Callable[[Path], None]) -> None:
    """What is no file, too large or known by another name as well becomes no entry, at once."""
    own = made_by_a_worker(folder)
    facts = facts_of(own.with_suffix(".mp4"), own.with_suffix(".ogg"))
    plant(own)
    with pytest.raises(NotAsReportedError):
        MediaStore(folder).keep(KEY, own, folder / "runs" / "1", facts, 2**20)
    assert found(folder) is None


@pytest.mark.parametrize("is_mapped", [False, True])
def test_file_that_a_worker_can_write_yet(folder: Path, *, is_mapped: bool) -> None:
    """What its writer keeps open, or mapped, is copied: the writer changes nothing in the store."""
    own = made_by_a_worker(folder, video=b"v" * 4096)
    facts = facts_of(own.with_suffix(".mp4"), own.with_suffix(".ogg"))
    with own.with_suffix(".mp4").open("r+b", buffering=0) as file, ExitStack() as kept:
        if is_mapped:
            mapped = kept.enter_context(mmap.mmap(file.fileno(), 0))
            file.close()
        media = MediaStore(folder).keep(KEY, own, folder / "runs" / "1", facts, 2**20)
        if is_mapped:
            mapped[:] = b"w" * 4096
            mapped.flush()
        else:
            file.write(b"w" * 8192)
    assert media.facts == facts
    assert media.video.read_bytes() == b"v" * 4096
    assert media.video.stat().st_mtime_ns == media.video_mtime_ns
    later = found(folder)
    assert later is not None
    assert later.facts == facts


def refuse_leases(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Have the kernel answer as on a file system that grants no lease."""
    call = fcntl.fcntl

    def refuse(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETLEASE:
            raise OSError(code, os.strerror(code))
        return call(descriptor, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", refuse)


def open_files() -> set[str]:
    """The files that this process has open."""
    names = Path("/proc/self/fd").iterdir()
    return {os.fspath(name.readlink()) for name in names if os.path.lexists(name)}


# EAGAIN: NFSv4 without a delegation, SMB without an oplock. EINVAL: FUSE. EACCES: another's file.
@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EINVAL, errno.EACCES])
def test_store_where_no_lease_is_granted(
    folder: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An honest worker's media are kept there, as a copy that no process has opened."""
    refuse_leases(monkeypatch, code)
    own = made_by_a_worker(folder, video=b"video", audio=b"sound")
    facts = facts_of(own.with_suffix(".mp4"), own.with_suffix(".ogg"))
    with own.with_suffix(".mp4").open("rb") as made:
        media = MediaStore(folder).keep(KEY, own, folder / "runs" / "1", facts, 2**20)
        assert not os.path.samestat(os.fstat(made.fileno()), media.video.stat())
    assert media.facts == facts
    usual = folder / "usual"
    usual.touch()
    assert media.video.stat().st_mode == usual.stat().st_mode
    assert {path.name for path in (folder / "runs").iterdir()} == {"worker", "1.mp4", "1.ogg"}
    assert not any(str(folder) in name for name in open_files())


@pytest.mark.parametrize("is_full", [False, True])
def test_copy_that_fails_leaves_nothing(folder: Path, *, is_full: bool) -> None:
    """A file that outgrows its bound meanwhile is the worker's fault, a full disk the store's."""
    made = folder / "made"
    made.write_bytes(b"v" * 3_000_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        if is_full:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))
        with pytest.raises(OSError if is_full else NotAsReportedError) as fault:
            replaced_by_copy(made, made, 3_000_000 if is_full else 2_999_999)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert getattr(fault.value, "errno", None) == (errno.EFBIG if is_full else None)
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["made"]
    assert made.stat().st_size == 3_000_000
    assert not any(str(folder) in name for name in open_files())


def test_hashes_are_those_of_the_bytes(folder: Path) -> None:
    """What a worker says of the hashes and sizes of its media counts for nothing."""
    own = made_by_a_worker(folder, video=b"true", audio=b"sound")
    facts = facts_of(own.with_suffix(".mp4"), own.with_suffix(".ogg"))
    lies = {"video_sha256": "0" * 64, "video_bytes": 1, "payload_bytes": -5}
    media = MediaStore(folder).keep(KEY, own, folder / "runs" / "1", replace(facts, **lies), 2**20)
    assert media.facts == facts


def test_folders_of_the_store_are_no_links(folder: Path, tmp_path_factory: Any) -> None:
    """Where a link stands in a folder's place, nothing is found, written or evicted behind it."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    keep(folder)
    (folder / "ab").rename(elsewhere / "ab")
    (folder / "ab").symlink_to(elsewhere / "ab")
    assert found(folder) is None
    with pytest.raises(StoreError, match="link"):
        keep(folder)
    assert evict(folder, 2**40) == 0
    assert len(list((elsewhere / "ab").iterdir())) == 3


@pytest.mark.parametrize("refused", ["links", "renames"])
def test_store_on_another_file_system(
    folder: Path, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where names cannot cross, bytes are copied: an entry is whole or not there."""

    def cross(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    rename = Path.rename
    monkeypatch.setattr(os, "link", cross)
    if refused == "renames":
        monkeypatch.setattr(Path, "rename", cross)
        monkeypatch.setattr(
            Path, "replace", lambda a, b: rename(a, b) if a.parent == b.parent else cross()
        )
    media = keep(folder, video=b"video", audio=b"sound")
    assert media.video.read_bytes() == b"video"
    monkeypatch.undo()
    later = found(folder)
    assert later is not None
    assert later.facts == media.facts
    left = [path.suffix for path in (folder / "ab").iterdir()]
    assert sorted(left) == [".json", ".mp4", ".ogg"]
    assert not list((folder / "runs" / "worker").iterdir())


def test_a_hit_is_a_use(folder: Path) -> None:
    """Finding an entry makes it the most recently used."""
    keep(folder, "writer")
    facts = folder / "ab" / f"{KEY}.json"
    os.utime(facts, (1, 1))
    assert found(folder) is not None
    assert facts.stat().st_mtime > 1_000_000_000


def test_key_is_the_source_the_window_and_the_settings(tmp_path: Path) -> None:
    """Another prompt finds the media again; other bytes, times or settings do not."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"one")
    clip = clip_of(path)
    known = media_key(clip, MediaSpec())
    assert known == media_key(clip_of(path, clip_id="other run"), MediaSpec())
    assert known != media_key(clip_of(path, seconds=30), MediaSpec())
    assert known != media_key(clip, MediaSpec(crf=30))
    assert known != media_key(clip, MediaSpec(video_preset="fast"))
    path.write_bytes(b"two!")
    assert known != media_key(clip_of(path), MediaSpec())


WRITER = """
import sys
from pathlib import Path
from tests.workers.test_store import keep
folder, name = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
while True:
    keep(folder, name, video=b"v" * 300_000, audio=b"a" * 9)
"""


def test_readers_never_see_half_an_entry(folder: Path) -> None:
    """While two processes write one key and are killed, a reader finds it whole or not at all."""

    def look() -> bool:
        media = found(folder)
        if media is None or media.audio is None:
            return False
        assert media.video.read_bytes() == b"v" * 300_000
        assert media.audio.read_bytes() == b"a" * 9
        return True

    with script(WRITER, str(folder), "one") as one, script(WRITER, str(folder), "two") as two:
        for doomed in (one, two):
            hits = 0
            while hits < 60:
                hits += look()
            doomed.send_signal(signal.SIGKILL)
            doomed.wait()
        for _ in range(20):
            look()
    keep(folder, "after", video=b"after")
    media = found(folder)
    assert media is not None
    assert media.video.read_bytes() == b"after"
