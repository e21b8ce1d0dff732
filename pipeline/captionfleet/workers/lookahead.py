"""Limits the bytes of prepared media that wait to be sent (main process)."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

__all__ = ["Lookahead"]


class Lookahead:
    """Counts media between workers and sender; lanes start no clip while it is full."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._waiting_bytes = 0
        self._has_room = anyio.Event()
        self._has_room.set()

    async def room(self) -> None:
        """Wait until another clip may be started."""
        await self._has_room.wait()

    @contextmanager
    def waiting(self, media_bytes: int) -> Iterator[None]:
        """Count media that wait within the block."""
        self._waiting_bytes += media_bytes
        if self._waiting_bytes > self._max_bytes:
            self._has_room = self._has_room if not self._has_room.is_set() else anyio.Event()
        try:
            yield
        finally:
            self._waiting_bytes -= media_bytes
            if self._waiting_bytes <= self._max_bytes:
                self._has_room.set()
