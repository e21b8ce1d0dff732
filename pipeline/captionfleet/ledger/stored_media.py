"""Where the media of a captions line lie in the media store, and which store a run kept (main)."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from captionfleet.config import StoreConfig
from captionfleet.ledger.files.reading import table_in, text_in

__all__ = ["StoredFiles", "entry_base", "store_of", "stored_files"]

_KEY = re.compile(r"[0-9a-f]{4,64}")
_SOUNDS = frozenset({"ogg", "wav", "mp3"})


class StoredFiles(NamedTuple):
    """The files of one clip: an MP4, or JPEGs one after the other; and its sound, if it has one."""

    video: Path
    audio: Path | None


def entry_base(store: Path, key: str) -> Path:
    """An entry's files without their endings; `key` must be one of the store's own."""
    return store / key[:2] / key


def stored_files(store: Path, record: dict[str, Any]) -> StoredFiles | None:
    """The files that a captions line names, which may be gone; None if it names none."""
    key, media = text_in(record, "media_key"), table_in(record, "media")
    if not _KEY.fullmatch(key):  # it becomes a part of a path
        return None
    base = entry_base(store, key)
    as_frames = text_in(media, "video_as") == "frames"
    sound = text_in(media, "audio_format")  # earlier lines lack it, and had no other
    audio = base.with_suffix(f".{sound if sound in _SOUNDS else 'ogg'}")
    return StoredFiles(
        base.with_suffix(".mjpeg" if as_frames else ".mp4"),
        audio if media.get("has_audio") is True else None,
    )


def store_of(run: dict[str, Any]) -> Path:
    """The store that a run kept its media in, by its run.json; else the usual one."""
    named = text_in(table_in(table_in(run, "settings"), "store"), "dir")
    return Path(named) if named else StoreConfig().folder()
