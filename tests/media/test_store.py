"""Prepared media are found again, intact or not at all, whoever writes or dies meanwhile."""

import errno
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from captionfleet.errors import StoreError
from captionfleet.media.store import MediaStore, StoredMedia, media_key, sha256_of
from captionfleet.messages import MediaFacts, MediaSpec
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
        payload_bytes=1000,
        video_sha256=sha256_of(video),
        audio_sha256=sha256_of(audio) if audio else None,
        source_codec="h264",
        source_width=640,
        source_height=360,
        source_s=2.0,
        frame_times_s=(0.0, 1.0),
    )


def keep(store: MediaStore, key: str = KEY, *, video: bytes = b"v", audio: bytes = b"a") -> None:
    """Write an entry as a worker does."""
    with store.drafts() as (video_path, audio_path):
        video_path.write_bytes(video)
        audio_path.write_bytes(audio)
        store.keep(key, video_path, audio_path, facts_of(video_path, audio_path))


def found(folder: Path, hold: str = "reader", key: str = KEY) -> StoredMedia | None:
    """Look for an entry under another name."""
    return MediaStore(folder, folder / "runs" / hold).find(key)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path


def test_what_is_kept_is_found(folder: Path) -> None:
    """Another clip with the same key gets the same bytes and facts under its own names."""
    keep(MediaStore(folder, folder / "runs" / "writer"), video=b"video", audio=b"sound")
    media = found(folder)
    assert media is not None
    assert media.from_store
    assert media.audio is not None
    assert (media.video.read_bytes(), media.audio.read_bytes()) == (b"video", b"sound")
    assert media.video.parent == folder / "runs"
    assert media.facts == facts_of(media.video, media.audio)


def test_what_a_clip_holds_outlives_its_entry(folder: Path) -> None:
    """Eviction takes nothing from a clip that made the media, nor from one that found them."""
    writer = folder / "runs" / "writer.mp4"
    keep(MediaStore(folder, writer.with_suffix("")), video=b"video")
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
    keep(MediaStore(folder, folder / "runs" / "writer"))
    path = (folder / "ab" / KEY).with_suffix(ending)
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(b"" if damage == "empty" else b"!" + content[1:])
    assert found(folder) is None
    assert not list((folder / "runs").glob("reader*"))
    keep(MediaStore(folder, folder / "runs" / "again"))
    assert found(folder) is not None


def test_failed_block_leaves_nothing(folder: Path) -> None:
    """Drafts of a clip that fails are removed."""
    store = MediaStore(folder, folder / "runs" / "writer")
    with suppress(KeyError), store.drafts() as (video, _):
        video.write_bytes(b"half")
        raise KeyError
    assert not list((folder / "runs").iterdir())


def remove(folder: Path) -> Path:
    """Take a folder away; return what was in it."""
    folder.rmdir()
    return folder / "film.mp4"


def test_only_a_broken_store_is_the_stores_trouble(folder: Path) -> None:
    """An error that libav makes of a film is the film's; one of a store that is gone, the run's."""
    store = MediaStore(folder, folder / "runs" / "writer")
    with pytest.raises(PermissionError), store.drafts():
        raise PermissionError(errno.EPERM, "so says a demuxer of damaged data")
    with pytest.raises(StoreError), store.drafts() as (video, _):
        remove(video.parent).touch()
    with pytest.raises(StoreError), store.drafts():
        raise OSError(errno.ENOSPC, "no space")


def test_second_try_spares_the_entry(folder: Path) -> None:
    """A worker that makes the same clip again does not write into an entry through its links."""
    store = MediaStore(folder, folder / "runs" / "writer")
    keep(store, video=b"first")
    with store.drafts() as (video, _):
        video.write_bytes(b"xxxxx")
        media = found(folder)
        assert media is not None
        assert media.video.read_bytes() == b"first"


def test_a_hit_is_a_use(folder: Path) -> None:
    """Finding an entry makes it the most recently used."""
    keep(MediaStore(folder, folder / "runs" / "writer"))
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
    path.write_bytes(b"two!")
    assert known != media_key(clip_of(path), MediaSpec())


WRITER = """
import sys
from pathlib import Path
from tests.media.test_store import KEY, keep
from captionfleet.media.store import MediaStore
folder, name = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
while True:
    keep(MediaStore(folder, folder / "runs" / name), KEY, video=b"v" * 300_000, audio=b"a" * 9)
"""


def test_readers_never_see_half_an_entry(folder: Path) -> None:
    """While two processes write one key and are killed, whoever finds it finds it whole."""

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
    keep(MediaStore(folder, folder / "runs" / "after"), video=b"after")
    media = found(folder)
    assert media is not None
    assert media.video.read_bytes() == b"after"
