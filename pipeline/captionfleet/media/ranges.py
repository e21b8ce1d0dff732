"""Reads an object in parts that the main process fetches (worker process).

A worker has no network and no key. It asks over a Unix socket for byte ranges of the one object
that its order names, and gets them or an error code. It caches them within bounds, since a demuxer
reads little at a time and returns to what it has read.
"""

import os
import struct
from collections import OrderedDict
from typing import NamedTuple

from captionfleet.errors import FailureCode, MediaError

__all__ = ["ANSWER", "ASK", "MOST_BYTES", "RangeFile", "RangeReader"]

ASK = struct.Struct(">QII")
"""An offset, a number of bytes, and the number of bytes that will probably be requested next."""

ANSWER = struct.Struct(">iI")
"""0 and the number of bytes that follow; or -1, and the length of a code, a newline and words."""

MOST_BYTES = 4 << 20
"""The largest request: 30 ms at 1 Gbit/s."""

_LEAST_BYTES = 1 << 17
# At most this part of a sequential read is fetched for nothing, twice: the piece in which reading
# stops, and the next one, which is on its way.
_AHEAD_PART = 8
_MOST_KEPT_BYTES = 4 * MOST_BYTES
_MOST_GAP_BYTES = 1 << 16


class _Piece(NamedTuple):
    """Fetched bytes; `run_bytes` is the length of the sequential read up to their end."""

    start: int
    data: bytes
    run_bytes: int

    @property
    def end(self) -> int:
        return self.start + len(self.data)


class RangeReader:
    """Fetches parts of one object over a socket; ever longer ones while reading is sequential.

    `failure` says why a part could not be fetched; after that, no part can.
    """

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.failure: MediaError | None = None
        self._socket = descriptor
        self._pieces: OrderedDict[int, _Piece] = OrderedDict()
        self._kept_bytes = 0

    def read_at(self, offset: int, size_bytes: int) -> bytes:
        """Up to `size_bytes` from `offset`; fewer only at the end of the object.

        Raises:
            MediaError: the bytes cannot be fetched.
        """
        end = min(offset + size_bytes, self.size_bytes)
        parts: list[bytes] = []
        while offset < end:
            piece = self._piece_with(offset)
            part = piece.data[offset - piece.start : end - piece.start]
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _piece_with(self, offset: int) -> _Piece:
        for start, piece in reversed(self._pieces.items()):
            if start <= offset < piece.end:
                self._pieces.move_to_end(start)
                return piece
        return self._fetched(offset)

    def _fetched(self, offset: int) -> _Piece:
        run_bytes = self._run_before(offset)
        length = min(self._next_bytes(run_bytes), self._free_bytes(offset))
        after = self._next_bytes(run_bytes + length) if run_bytes else 0
        after = min(after, max(0, self.size_bytes - offset - length))
        piece = _Piece(offset, self._ask(offset, length, after), run_bytes + length)
        self._pieces[offset] = piece
        self._kept_bytes += len(piece.data)
        while self._kept_bytes > _MOST_KEPT_BYTES and len(self._pieces) > 1:
            _, oldest = self._pieces.popitem(last=False)
            self._kept_bytes -= len(oldest.data)
        return piece

    def _run_before(self, offset: int) -> int:
        """The length of the sequential read before this place; 0 where a new one begins."""
        for piece in reversed(self._pieces.values()):
            if piece.end <= offset <= piece.end + _MOST_GAP_BYTES:
                return piece.run_bytes
        return 0

    def _next_bytes(self, run_bytes: int) -> int:
        return max(_LEAST_BYTES, min(run_bytes // _AHEAD_PART, MOST_BYTES))

    def _free_bytes(self, offset: int) -> int:
        """The number of bytes up to the next cached piece, or the end."""
        ahead = [start for start in self._pieces if start > offset]
        return min([self.size_bytes, *ahead]) - offset

    def _ask(self, offset: int, length: int, after: int) -> bytes:
        if self.failure is not None:
            raise self.failure
        try:
            _write(self._socket, ASK.pack(offset, length, after))
            status, size_bytes = ANSWER.unpack(_read(self._socket, ANSWER.size))
            body = _read(self._socket, size_bytes)
        except (OSError, EOFError):
            self.failure = MediaError(FailureCode.SOURCE_UNREADABLE, "its parts no longer arrive")
            raise self.failure from None
        if status:
            code, _, words = body.decode().partition("\n")
            self.failure = MediaError(FailureCode(code), words)
            raise self.failure
        return body


class RangeFile:
    """A read position in an object, with the file methods that libav calls."""

    def __init__(self, reader: RangeReader) -> None:
        self._reader = reader
        self._at = 0

    def read(self, size_bytes: int) -> bytes:
        """The next bytes; none at the end."""
        data = self._reader.read_at(self._at, size_bytes)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._reader.size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """The position of the next byte."""
        return self._at

    def seekable(self) -> bool:
        """Always true."""
        return True


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _read(descriptor: int, size_bytes: int) -> bytes:
    parts = bytearray()
    while len(parts) < size_bytes:
        part = os.read(descriptor, size_bytes - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
