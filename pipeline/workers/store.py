"""Prepared media on disk, found again by what they were made of (worker processes).

An entry is up to three files: KEY.mp4, KEY.ogg and KEY.json. The facts are renamed into place
last, so an entry without them does not exist, whenever a process died.
"""

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import orjson

from pipeline.errors import StoreError
from pipeline.messages import Clip, MediaFacts, MediaSpec

__all__ = ["MediaStore", "StoredMedia", "media_key"]

# Raised whenever the bytes that a worker makes of the same source change.
_RECIPE = 1


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """One entry: two files and what is known of them."""

    video: Path
    audio: Path | None
    facts: MediaFacts


def media_key(clip: Clip, spec: MediaSpec) -> str:
    """What an entry is found by: the source as it was found, the window and the settings."""
    source = clip.source
    path = os.fsencode(os.path.realpath(source.path)).hex()
    made = [_RECIPE, path, source.size_bytes, source.mtime_ns, clip.start_s, clip.end_s]
    return hashlib.blake2b(orjson.dumps([*made, asdict(spec)]), digest_size=20).hexdigest()


class MediaStore:
    """A folder of entries that any number of processes read and write at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str) -> StoredMedia | None:
        """The entry, if it is there and its bytes are those that were written."""
        base = self._base(key)
        try:
            facts = _read_facts(base.with_suffix(".json"))
            video = base.with_suffix(".mp4")
            audio = base.with_suffix(".ogg") if facts.has_audio else None
            intact = sha256_of(video) == facts.video_sha256 and (
                audio is None or sha256_of(audio) == facts.audio_sha256
            )
        except (OSError, ValueError, TypeError):
            return None
        return StoredMedia(video, audio, facts) if intact else None

    @contextmanager
    def drafts(self) -> Iterator[tuple[Path, Path]]:
        """Two names to write an MP4 and an Ogg under; what is not kept is removed.

        Raises:
            StoreError: there is no place to write.
        """
        folder = self._folder / "tmp"
        with _store_errors():
            folder.mkdir(parents=True, exist_ok=True)
        name = f"{os.getpid()}-{secrets.token_hex(8)}"
        paths = (folder / f"{name}.mp4", folder / f"{name}.ogg")
        try:
            yield paths
        except OSError as error:  # PyAV's errors are OSErrors too; only a full disk is ours
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
                raise StoreError(error.strerror) from None
            raise
        finally:
            for path in paths:
                with suppress(FileNotFoundError):
                    path.unlink()

    def keep(self, key: str, video: Path, audio: Path | None, facts: MediaFacts) -> StoredMedia:
        """Move drafts into place under the key.

        Raises:
            StoreError: that failed.
        """
        with _store_errors():
            return self._keep(self._base(key), video, audio, facts)

    def _keep(self, base: Path, video: Path, audio: Path | None, facts: MediaFacts) -> StoredMedia:
        base.parent.mkdir(parents=True, exist_ok=True)
        kept_video = video.rename(base.with_suffix(".mp4"))
        kept_audio = audio.rename(base.with_suffix(".ogg")) if audio else None
        draft = video.with_suffix(".json")
        draft.write_bytes(orjson.dumps(asdict(facts)))
        draft.rename(base.with_suffix(".json"))
        return StoredMedia(kept_video, kept_audio, facts)

    def _base(self, key: str) -> Path:
        return self._folder / key[:2] / key


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(error.strerror) from None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_facts(path: Path) -> MediaFacts:
    stored = orjson.loads(path.read_bytes())
    known = {field.name for field in fields(MediaFacts)}
    if not isinstance(stored, dict) or set(stored) != known:
        raise ValueError
    return MediaFacts(**{**stored, "frame_times_s": tuple(stored["frame_times_s"])})
