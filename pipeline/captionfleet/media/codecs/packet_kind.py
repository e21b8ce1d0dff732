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
    """The properties of a packet; a safe assumption where its bytes do not show them.

    Attributes:
        is_entry: a decoder that starts here returns every frame from here on, bit for bit.
        is_closed: it also returns those frames of later packets that are shown before it.
        is_needed: another frame may refer to its frame.
        is_shown: the decoder returns a frame for it.
        is_pinned: it changes settings for later packets, so it must be decoded.
        is_rest: it completes the previous packet's frame, and is kept or left out with that packet.
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
        """The packet's kind; `is_key` is the container's flag.

        Raises:
            PlanBroken: packets of this stream do not reveal it.
        """
