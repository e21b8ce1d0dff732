"""Defines what is known of a coded packet: key frame, referenced, shown (worker process; pure)."""

from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "CLOSED_ENTRY",
    "DISPOSABLE",
    "ENTRY",
    "HIDDEN",
    "INTRA",
    "NEEDED",
    "PINNED",
    "SECOND_FIELD",
    "KindReader",
    "PacketKind",
    "PlanBroken",
]


@dataclass(frozen=True, slots=True)
class PacketKind:
    """What is known of a packet; the safe assumption where its bytes do not say.

    Attributes:
        is_entry: a decoder that starts here returns every frame from here on bit for bit.
        is_closed: it also returns the following packets' frames that are shown before it.
        is_needed: another frame may refer to its frame.
        is_shown: the decoder returns a frame for it.
        is_pinned: it changes settings for what follows, so it must be decoded.
        is_rest: it completes the frame of the packet before, and is kept or left out with it.
    """

    is_entry: bool = False
    is_closed: bool = False
    is_needed: bool = True
    is_shown: bool = True
    is_pinned: bool = False
    is_rest: bool = False


NEEDED = PacketKind()
HIDDEN = PacketKind(is_shown=False)
ENTRY = PacketKind(is_entry=True)
CLOSED_ENTRY = PacketKind(is_entry=True, is_closed=True)
DISPOSABLE = PacketKind(is_needed=False)
INTRA = PacketKind(is_entry=True, is_closed=True, is_needed=False)
PINNED = PacketKind(is_pinned=True)
SECOND_FIELD = PacketKind(is_rest=True)


class PlanBroken(Exception):  # noqa: N818 - a change of plan, not an error
    """Raised when packets do not allow planning, so that everything has to be decoded."""


class KindReader(Protocol):
    """Reads the packets of one stream in file order."""

    def read(self, packet: memoryview, *, is_key: bool) -> PacketKind:
        """What the packet is; `is_key` is the container's word.

        Raises:
            PlanBroken: packets of this stream do not tell.
        """
