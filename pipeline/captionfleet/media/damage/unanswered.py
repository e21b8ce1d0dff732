"""Detects packets for which a decoder returns neither a frame nor an error; pure (worker)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["Unanswered"]

# Decoders that silently skip what they cannot read, and otherwise return one frame for each packet,
# in order. With one thread they hold back only a few.
_SILENT = frozenset({"libdav1d", "theora"})
_MOST_HELD_BACK = 8


class Unanswered:
    """Packets that went into a decoder and whose frames have not come out yet."""

    def __init__(self, decoder: str) -> None:
        self._is_silent = decoder in _SILENT
        self._packets: deque[Packet[VideoStream]] = deque()

    def sent(self, packet: Packet[VideoStream]) -> list[Packet[VideoStream]]:
        """Record a packet that gave no error; return packets whose frame can no longer come."""
        if not self._is_silent or packet.pts is None or packet.is_discard:
            return []
        self._packets.append(packet)
        return [self._packets.popleft()] if len(self._packets) > _MOST_HELD_BACK else []

    def came_out(self, pts: int | None) -> list[Packet[VideoStream]]:
        """Record the time of a frame; return the packets before it, whose frames are lost."""
        lost: list[Packet[VideoStream]] = []
        while pts is not None and self._packets and (self._packets[0].pts or 0) <= pts:
            packet = self._packets.popleft()
            lost += [packet] if packet.pts != pts else []
        return lost

    def drained(self) -> list[Packet[VideoStream]]:
        """Record the end of decoding; return the packets that gave no frame."""
        lost = list(self._packets)
        self._packets.clear()
        return lost
