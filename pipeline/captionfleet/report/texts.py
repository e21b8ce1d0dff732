"""Compresses the text of clips that the page shows without pictures; pure (main process)."""

import base64
import zlib
from collections.abc import Iterable
from typing import Any

import orjson

__all__ = ["Texts"]

_GZIP_BITS = 31  # zlib's window size, plus 16 for a gzip header


class Texts:
    """Cards as JSON lines, compressed as they are added, so that memory holds only the result.

    `held` counts them, and `left_out` those without room.
    """

    def __init__(self, max_bytes: int) -> None:
        self._left_bytes = max_bytes
        self._packer = zlib.compressobj(wbits=_GZIP_BITS)
        self._packed: list[bytes] = []
        self.held = 0
        self.left_out = 0

    def take(self, cards: Iterable[dict[str, Any]], room: float) -> None:
        """Add cards while there is room, using at most this share of the room left."""
        left_bytes = int(self._left_bytes * room)
        for card in cards:
            line = orjson.dumps(card) + b"\n"
            if len(line) > left_bytes:
                return
            left_bytes -= len(line)
            self._left_bytes -= len(line)
            self._packed.append(self._packer.compress(line))
            self.held += 1

    def packed(self) -> str:
        """All of them: base64 of gzip of JSON lines. No more can be added."""
        self._packed.append(self._packer.flush())
        return base64.b64encode(b"".join(self._packed)).decode() if self.held else ""
