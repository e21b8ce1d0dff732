"""Decides which files belong to this run's shard (main process, in a thread)."""

import os
from hashlib import blake2b
from typing import Self

from captionfleet.config import InputConfig
from captionfleet.messages import Source
from captionfleet.system.regular_file import open_regular

__all__ = ["Shard"]

_HEAD_BYTES = 1 << 16


class Shard:
    """A share of the files, chosen by a stable hash of their identity.

    A file stays in its shard with all its clips, independently of other files. With `identity =
    "content"` the hash is that of the size and the first 64 KiB, so that copies of a file are in
    the same shard.
    """

    def __init__(self, index: int, count: int, *, by_content: bool) -> None:
        self._index = index
        self._count = count
        self._by_content = by_content

    @classmethod
    def of(cls, config: InputConfig) -> Self:
        """The shard that a job names; all files if it names none."""
        index, _, count = (config.shard or "0/1").partition("/")
        return cls(int(index), int(count), by_content=config.identity == "content")

    def holds(self, source: Source) -> bool:
        """Whether the file belongs to this shard. Blocks."""
        return self._count == 1 or self._place(source) == self._index

    def _place(self, source: Source) -> int:
        digest = blake2b(self._identity(source), digest_size=8).digest()
        return int.from_bytes(digest) % self._count

    def _identity(self, source: Source) -> bytes:
        if self._by_content and source.size_bytes > 0:
            try:
                # A link or FIFO may have taken the file's place: do not follow it or wait for it.
                with os.fdopen(open_regular(source.known_path), "rb") as file:
                    return b"%d " % source.size_bytes + file.read(_HEAD_BYTES)
            except (OSError, ValueError):
                pass  # it fails under its path, in one shard
        # A row that names no clip has its number as its time, and size 0.
        row = b"%d " % source.mtime_ns if source.size_bytes < 0 else b""
        return row + os.fsencode(source.known_path)
