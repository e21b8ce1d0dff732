"""Reads a request body from the media files while it is sent (main process).

A block in the page cache, as most of recently written files are, is read on the event loop: a
thread costs several times as much. Reads that would block go to a thread, as does hashing.
"""

import errno
import hashlib
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pybase64
from anyio import to_thread

from captionfleet.messages import ReadyClip
from captionfleet.sender.chat.parts import Hole, Piece
from captionfleet.sender.chat.request import size_bytes
from captionfleet.system.regular_file import open_regular

__all__ = ["MediaChangedError", "MediaUnreadableError", "Upload"]

_BLOCK_BYTES = 3 * 2**16  # a multiple of three, so that blocks are encoded to base64 independently
# The file is missing, or a hostile worker put a link, a FIFO or a folder in its place. Any other
# error is a problem of the machine (no free descriptor, a failing disk or network) and may pass.
_GONE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EINVAL}
)
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)  # only on Linux


class MediaChangedError(Exception):
    """Raised when prepared media do not, or no longer, match their facts."""


class MediaUnreadableError(Exception):
    """Raised when prepared media cannot be read now; the message says why."""


@dataclass(slots=True)
class _Medium:
    """One media file; it is closed between blocks, so that none is left open.

    `mtime_ns` is the change time of the hashed file. A file with that time, to the nanosecond, is
    that file; any other is hashed before it is sent.
    """

    path: Path
    size_bytes: int
    sha256: str | None
    mtime_ns: int | None
    is_near: bool = False  # whether its file system supports reads from memory only

    def verify(self) -> None:
        """Require that the file matches the facts. Blocks.

        Raises:
            MediaChangedError: it does not.
        """
        with os.fdopen(open_regular(self.path), "rb", buffering=0) as file:
            mtime_ns = os.fstat(file.fileno()).st_mtime_ns
            if mtime_ns != self.mtime_ns:
                digest = hashlib.file_digest(file, "sha256")
                _require(is_same=digest.hexdigest() == self.sha256)
                self.mtime_ns = mtime_ns
            self._require_unchanged(file.fileno())
            if _NOWAIT is not None:
                with suppress(OSError):
                    self.is_near = os.preadv(file.fileno(), [bytearray(1)], 0, _NOWAIT) == 1

    async def base64_at(self, offset: int, size_bytes: int) -> bytes:
        """The base64 of one block."""
        if self.is_near and _NOWAIT is not None:
            with suppress(BlockingIOError):
                return self._read(offset, size_bytes, _NOWAIT)
        return await to_thread.run_sync(self._read, offset, size_bytes)

    def _read(self, offset: int, size_bytes: int, flags: int = 0) -> bytes:
        block = bytearray(size_bytes)
        descriptor = open_regular(self.path)
        try:
            read_bytes = os.preadv(descriptor, [block], offset, flags)
            self._require_unchanged(descriptor)
        finally:
            os.close(descriptor)
        if read_bytes < len(block):  # only a part is in memory
            raise BlockingIOError
        return pybase64.b64encode(block)

    def _require_unchanged(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        _require(is_same=(status.st_size, status.st_mtime_ns) == (self.size_bytes, self.mtime_ns))


def _require(*, is_same: bool) -> None:
    if not is_same:
        raise MediaChangedError("prepared media changed on disk")


class Upload:
    """The bytes of one request, whose length is known in advance.

    Each block is from a file that is still the verified one: a server never receives a complete
    body whose media changed on disk.
    """

    def __init__(self, pieces: Sequence[Piece], ready: ReadyClip) -> None:
        """Take a body as JSON and gaps, and the clip whose media fill them."""
        facts = ready.facts
        self.size_bytes = size_bytes(pieces)
        self._pieces = pieces
        self._media = {
            "video": _Medium(
                ready.video, facts.video_bytes, facts.video_sha256, ready.video_mtime_ns
            )
        }
        if ready.audio is not None:
            self._media["audio"] = _Medium(
                ready.audio, facts.audio_bytes, facts.audio_sha256, ready.audio_mtime_ns
            )
        self._holes = [piece for piece in pieces if isinstance(piece, Hole)]

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body in order.

        Raises:
            MediaChangedError: a file is missing or changed.
            MediaUnreadableError: the system cannot read a file now.
        """
        lead = b""  # sent together with the next block
        try:
            await to_thread.run_sync(self._verify)
            for piece in self._pieces:
                if isinstance(piece, bytes):
                    lead += piece
                    continue
                medium, end = self._media[piece.medium], piece.offset + piece.size_bytes
                for offset in range(piece.offset, end, _BLOCK_BYTES):
                    block_bytes = min(_BLOCK_BYTES, end - offset)
                    yield lead + await medium.base64_at(offset, block_bytes)
                    lead = b""
        except OSError as error:
            kind = MediaChangedError if error.errno in _GONE else MediaUnreadableError
            raise kind(f"prepared media: {os.strerror(error.errno or 0)}") from None
        yield lead

    def _verify(self) -> None:
        for name in dict.fromkeys(hole.medium for hole in self._holes):
            holes_bytes = sum(hole.size_bytes for hole in self._holes if hole.medium == name)
            _require(is_same=holes_bytes == self._media[name].size_bytes)
            self._media[name].verify()
