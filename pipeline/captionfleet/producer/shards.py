"""Which share of the sources is this run's (main process, in a thread)."""

import os
from hashlib import blake2b
from typing import Self

from captionfleet.config import InputConfig
from captionfleet.messages import Source
from captionfleet.system.regular_file import open_regular

__all__ = ["Shard"]

_HEAD_BYTES = 1 << 16


class Shard:
    """The share of the files that a stable hash of their identity gives.

    A file stays in its share whatever else is found, and all its clips are in one. Where files are
    known by their content, that decides: the size and the first 64 KiB, so that of two copies no
    share captions one and another the other.
    """

    def __init__(self, index: int, count: int, *, by_content: bool) -> None:
        self._index = index
        self._count = count
        self._by_content = by_content

    @classmethod
    def of(cls, config: InputConfig) -> Self:
        """The share that a job names; all there is if it names none."""
        index, _, count = (config.shard or "0/1").partition("/")
        return cls(int(index), int(count), by_content=config.identity == "content")

    def holds(self, source: Source) -> bool:
        """Whether the file is this share's. Blocks."""
        return self._count == 1 or self._place(source) == self._index

    def _place(self, source: Source) -> int:
        digest = blake2b(self._identity(source), digest_size=8).digest()
        return int.from_bytes(digest) % self._count

    def _identity(self, source: Source) -> bytes:
        if self._by_content and source.size_bytes > 0:
            try:
                # Not to follow or wait for what may have taken the file's place.
                with os.fdopen(open_regular(source.known_path), "rb") as file:
                    return b"%d " % source.size_bytes + file.read(_HEAD_BYTES)
            except (OSError, ValueError):
                pass  # it fails by its path, in one share
        # A row that names no clip has its number for a time, and no size at all.
        row = b"%d " % source.mtime_ns if source.size_bytes < 0 else b""
        return row + os.fsencode(source.known_path)
