"""Detects H.264 packets that hold the second field of a frame; pure (worker process).

A transport stream of interlaced video has a packet for each field; only the first gives a frame.
Syntax: ITU-T H.264, 7.3.2.1.1 and 7.3.3.
"""

from dataclasses import dataclass

from captionfleet.media.codecs.bits import Bits

__all__ = ["FieldPairs"]

_HEAD_BYTES = 32
_PARAMETER_BYTES = 1024
_SCALED_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
_FOUR_FOUR_FOUR = 3
_SCALING_LISTS_4X4 = 6


@dataclass(frozen=True, slots=True)
class _Sequence:
    frame_number_bits: int
    has_fields: bool
    has_colour_planes: bool


@dataclass(frozen=True, slots=True)
class _Field:
    frame_number: int
    is_bottom: bool


class FieldPairs:
    """Follows the slices of one stream in decoding order."""

    def __init__(self) -> None:
        self._sequences: dict[int, _Sequence] = {}
        self._sequence_of: dict[int, int] = {}
        self._first: _Field | None = None

    def take_sequence(self, unit: bytes) -> None:
        """Parse a sequence parameter set."""
        number, sequence = _sequence(Bits(_payload(unit[1:_PARAMETER_BYTES])))
        self._sequences[number] = sequence

    def take_picture(self, unit: bytes) -> None:
        """Parse a picture parameter set."""
        bits = Bits(_payload(unit[1:_HEAD_BYTES]))
        number = bits.golomb()
        self._sequence_of[number] = bits.golomb()

    def is_second(self, unit: memoryview) -> bool:
        """Parse a packet's first slice; return whether the packet completes the previous frame."""
        field = self._field(unit)
        first, self._first = self._first, field
        if field is None or first is None:
            return False
        is_second = field.frame_number == first.frame_number and field.is_bottom != first.is_bottom
        if is_second:
            self._first = None
        return is_second

    def _field(self, unit: memoryview) -> _Field | None:
        """The field that a slice belongs to; None for a slice of a whole frame."""
        if not any(sequence.has_fields for sequence in self._sequences.values()):
            return None
        bits = Bits(_payload(bytes(unit[1:_HEAD_BYTES])))
        bits.golomb()
        bits.golomb()
        sequence = self._sequences.get(self._sequence_of.get(bits.golomb(), -1))
        if sequence is None or not sequence.has_fields:
            return None
        bits.take(2 if sequence.has_colour_planes else 0)
        frame_number = bits.take(sequence.frame_number_bits)
        return _Field(frame_number, bool(bits.take(1))) if bits.take(1) else None


def _payload(unit: bytes) -> bytes:
    return unit.replace(b"\x00\x00\x03", b"\x00\x00")


def _sequence(bits: Bits) -> tuple[int, _Sequence]:
    profile = bits.take(8)
    bits.take(16)
    number = bits.golomb()
    has_colour_planes = profile in _SCALED_PROFILES and _skip_formats(bits)
    frame_number_bits = bits.golomb() + 4
    _skip_order_of_pictures(bits)
    bits.golomb()
    bits.take(1)
    bits.golomb()
    bits.golomb()
    return number, _Sequence(frame_number_bits, not bits.take(1), has_colour_planes)


def _skip_formats(bits: Bits) -> bool:
    """Skip chroma format and scaling matrices; return whether the colour planes are separate."""
    chroma = bits.golomb()
    has_colour_planes = chroma == _FOUR_FOUR_FOUR and bool(bits.take(1))
    bits.golomb()
    bits.golomb()
    bits.take(1)
    if bits.take(1):
        for place in range(12 if chroma == _FOUR_FOUR_FOUR else 8):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if place < _SCALING_LISTS_4X4 else 64)
    return has_colour_planes


def _skip_scaling_list(bits: Bits, size: int) -> None:
    scale = 8
    for _ in range(size):
        scale = (scale + bits.signed_golomb()) % 256
        if scale == 0:
            return


def _skip_order_of_pictures(bits: Bits) -> None:
    kind = bits.golomb()
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.golomb()
