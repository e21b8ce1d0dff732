"""Names the files of the media store: which path holds the media of which line (main process)."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from captionfleet.config import StoreConfig
from captionfleet.ledger.files.reading import table_in, text_in
from captionfleet.ledger.past_runs import job_table_in
from captionfleet.messages import Form

__all__ = ["DRAFT_ENDING", "FACTS_ENDING", "StoredFiles", "entry_base", "store_of", "stored_files"]

_KEY = re.compile(r"[0-9a-f]{4,64}")
FACTS_ENDING = ".json"
DRAFT_ENDING = ".new"
"""A file that is still being written, or that a killed run left."""


class StoredFiles(NamedTuple):
    """The files of one clip: an MP4 or concatenated JPEGs, and the sound if the clip has any."""

    video: Path
    audio: Path | None


def entry_base(store: Path, key: str) -> Path:
    """The common path of an entry's files, without endings.

    Args:
        store: The store's folder.
        key: Hexadecimal digits. They are not checked here: another text could name a path outside
            the store.
    """
    return store / key[:2] / key


def stored_files(store: Path, record: dict[str, Any]) -> StoredFiles | None:
    """The media files of a captions line, which the store may have evicted.

    None if the line names no media, as in early versions.
    """
    key, media = text_in(record, "media_key"), table_in(record, "media")
    if not _KEY.fullmatch(key):  # it becomes part of a path
        return None
    base = entry_base(store, key)
    form = _form_in(media)
    return StoredFiles(
        base.with_suffix(form.video_ending),
        base.with_suffix(form.audio_ending) if media.get("has_audio") is True else None,
    )


def _form_in(media: dict[str, Any]) -> Form:
    """The form of the media; lines of early versions, which had one form, lack its keys."""
    form = Form()
    if text_in(media, "video_as") == "frames":
        form = replace(form, video_as="frames")
    match text_in(media, "audio_format"):
        case "wav" | "mp3" as audio_format:
            return replace(form, audio_format=audio_format)
        case _:
            return form


def store_of(run: dict[str, Any]) -> Path:
    """The media store of a run, as its run.json says; else the default one."""
    named = text_in(job_table_in(run, "store"), "dir")
    return Path(named) if named else StoreConfig().folder()
