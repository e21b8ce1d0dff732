"""Computes clip ids, and plans the clips of a source; pure (main process)."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from captionfleet.config import MediaConfig
from captionfleet.messages import UNKNOWN_FILM, Clip, Film, Source
from captionfleet.producer.windows import Window, asked_window

__all__ = ["clip_id", "content_clip_id", "film_id", "ids_of", "named_clip_id", "plan"]

_ID_BYTES = 16


def plan(
    source: Source,
    media: MediaConfig,
    content: bytes | None = None,
    windows: Sequence[Window] | None = None,
    film: Film = UNKNOWN_FILM,
) -> tuple[Clip, ...]:
    """The clips of one source: the given windows, the row's own window, or the first window.

    With a content digest, the clip's id is a hash of that, and its stat id is kept as well. Behind
    a URL, the id is a hash of the ETag, and the stat id of the time of change.
    """
    max_seconds = float(media.max_seconds)
    if windows is None and (asked := asked_window(source.row, max_seconds)):
        windows = (asked,)
    is_alone = windows is None
    return tuple(
        replace(_clip(source, window, content), stands_alone=is_alone, film=film)
        for window in ((Window(0.0, max_seconds),) if windows is None else windows)
    )


def _clip(source: Source, window: Window, content: bytes | None) -> Clip:
    path = os.fsencode(source.known_path)
    prompt = source.row.prompt
    identity = clip_id(path, source.size_bytes, source.mtime_ns, *window, prompt)
    if content is None:
        by_time = source.time_version
        other = clip_id(path, source.size_bytes, by_time, *window, prompt) if by_time else ""
        return Clip(identity, source, *window, stat_id=other)
    own = content_clip_id(content, source.size_bytes, *window, prompt)
    return Clip(own, source, *window, stat_id=identity)


def clip_id(  # noqa: PLR0913, PLR0917 - all that identifies a clip
    path: bytes, size_bytes: int, mtime_ns: int, start_s: float, end_s: float, prompt: str = ""
) -> str:
    """Hash a window of one version of a file, and the row's own prompt, to 32 hex digits.

    `path` is absolute and free of links, so a file has one id under all its names, and no two files
    share one. The path's length comes first, so that different clips never encode alike.
    """
    facts = f"path {len(path)} {size_bytes} {mtime_ns} {_window(start_s, end_s)} "
    return blake2b(facts.encode() + path + _asked(prompt), digest_size=_ID_BYTES).hexdigest()


def film_id(source: Source) -> str:
    """Hash one version of a whole file to 32 hex digits."""
    path = os.fsencode(source.known_path)
    facts = f"film {len(path)} {source.size_bytes} {source.mtime_ns} "
    return blake2b(facts.encode() + path, digest_size=_ID_BYTES).hexdigest()


def named_clip_id(
    source_name: bytes, size_bytes: int, mtime_ns: int, start_s: float, end_s: float
) -> str:
    """The clip id of version 0.1.0: a hash of the file's name relative to its source."""
    facts = f"{len(source_name)} {size_bytes} {mtime_ns} {_window(start_s, end_s)} "
    return blake2b(facts.encode() + source_name, digest_size=_ID_BYTES).hexdigest()


def ids_of(path: bytes, name: bytes, facts: os.stat_result, record: Mapping[str, Any]) -> set[str]:
    """The ids that an output line's clip would have if this were its file.

    Computed from `path`, which holds no link, and, as version 0.1.0 did, from its name.

    Raises:
        ValueError, KeyError, TypeError: the line does not say which window it is of.
    """
    version = facts.st_size, facts.st_mtime_ns
    window = float(record["start_s"]), float(record["end_s"])
    prompt = str(record.get("prompt", ""))  # a row's own prompt, which lines of that version lack
    return {clip_id(path, *version, *window, prompt), named_clip_id(name, *version, *window)}


def content_clip_id(
    content: bytes, size_bytes: int, start_s: float, end_s: float, prompt: str = ""
) -> str:
    """Hash a window of a file's content, under any name, to 32 hex digits."""
    facts = f"content {size_bytes} {_window(start_s, end_s)} ".encode()
    return blake2b(facts + content + _asked(prompt), digest_size=_ID_BYTES).hexdigest()


def _asked(prompt: str) -> bytes:
    return b"\0" + prompt.encode() if prompt else b""


def _window(start_s: float, end_s: float) -> str:
    return f"{float(start_s).hex()} {float(end_s).hex()}"
