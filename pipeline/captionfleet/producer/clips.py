"""Which clips a source gives, and what they are called; pure (main process)."""

import os
from hashlib import blake2b

from captionfleet.config import MediaConfig
from captionfleet.messages import Clip, Source

__all__ = ["clip_id", "content_clip_id", "plan"]

_ID_BYTES = 16


def plan(source: Source, media: MediaConfig, content: bytes | None = None) -> tuple[Clip, ...]:
    """The clips of one source: today one window from the start, as long as the job allows.

    With the digest of its content, a clip is called by that, and keeps its other id beside it.
    """
    name = os.fsencode(source.name)
    start_s, end_s = 0.0, float(media.max_seconds)
    identity = clip_id(name, source.size_bytes, source.mtime_ns, start_s, end_s)
    if content is None:
        return (Clip(identity, source, start_s, end_s, stands_alone=True),)
    own = content_clip_id(content, source.size_bytes, start_s, end_s)
    return (Clip(own, source, start_s, end_s, stat_id=identity, stands_alone=True),)


def clip_id(
    source_name_bytes: bytes, size_bytes: int, mtime_ns: int, start_s: float, end_s: float
) -> str:
    """32 hex digits that name one window of one version of one file.

    The name's length comes first, so no two different clips are encoded alike; the folder is
    left out, so a library that moves as a whole keeps its captions.
    """
    facts = f"{len(source_name_bytes)} {size_bytes} {mtime_ns} {_window(start_s, end_s)} "
    return blake2b(facts.encode() + source_name_bytes, digest_size=_ID_BYTES).hexdigest()


def content_clip_id(content: bytes, size_bytes: int, start_s: float, end_s: float) -> str:
    """32 hex digits that name one window of these bytes, under any name."""
    facts = f"content {size_bytes} {_window(start_s, end_s)} ".encode()
    return blake2b(facts + content, digest_size=_ID_BYTES).hexdigest()


def _window(start_s: float, end_s: float) -> str:
    return f"{float(start_s).hex()} {float(end_s).hex()}"
