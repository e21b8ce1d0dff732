"""Parses H.264 and HEVC packets up to their NAL unit headers; pure (worker process).

H.264 is ITU-T H.264 section 7.3, HEVC is H.265 section 7.3; avcC and hvcC are ISO/IEC 14496-15.
"""

from collections.abc import Iterator

from captionfleet.media.codecs.bits import Bits
from captionfleet.media.codecs.field_pairs import FieldPairs
from captionfleet.media.codecs.packet_kind import (
    CLOSED_ENTRY,
    DISPOSABLE,
    ENTRY,
    NEEDED,
    PINNED,
    SECOND_FIELD,
    PacketKind,
    PlanBroken,
)

__all__ = ["H264Reader", "HevcReader"]

_START_CODE = b"\x00\x00\x01"
_HEAD_BYTES = 3
_MOST_PARAMETER_BYTES = 4096
_MOST_PARAMETER_SETS = 256


class _Parameters:
    """The parameter sets in effect, to detect changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], bytes] = {}

    def changed_by(self, kind: int, number: int, unit: bytes) -> bool:
        """Record a parameter set; return whether it replaces a different one of that number."""
        if number >= _MOST_PARAMETER_SETS:
            return False
        before = self._known.get((kind, number))
        self._known[kind, number] = unit
        return before is not None and before != unit


class H264Reader:
    """Entries are IDR pictures, and recovery points that are exact at once."""

    def __init__(self, extradata: bytes | None) -> None:
        self._parameters = _Parameters()
        self._fields = FieldPairs()
        self._length_bytes, units = _avcc(extradata or b"")
        for unit in units:
            self._take_parameters(unit[0] & 31, unit)

    def read(self, packet: memoryview, *, is_key: bool) -> PacketKind:  # noqa: ARG002 - not trusted
        """See `KindReader`."""
        is_pinned = is_recovery = is_seen = False
        for unit in _units(packet, self._length_bytes):
            kind = unit[0] & 31
            if kind in {7, 8}:
                is_pinned |= self._take_parameters(kind, unit)
            elif kind == 6:  # noqa: PLR2004 - SEI
                is_recovery |= _is_exact_recovery_point(unit)
            elif 1 <= kind <= 5:  # noqa: PLR2004 - slices
                if not is_seen and self._fields.is_second(unit):
                    return SECOND_FIELD
                is_seen = True
                if unit[0] & 0x60:
                    return PINNED if is_pinned else self._reference(kind, is_recovery=is_recovery)
        return PINNED if is_pinned else DISPOSABLE if is_seen else NEEDED

    def _reference(self, kind: int, *, is_recovery: bool) -> PacketKind:
        if kind == 5:  # noqa: PLR2004 - IDR
            return CLOSED_ENTRY
        return ENTRY if is_recovery else NEEDED

    def _take_parameters(self, kind: int, unit: memoryview) -> bool:
        whole = _cut(unit)
        if kind == 8:  # noqa: PLR2004 - PPS
            self._fields.take_picture(whole)
        elif kind == 7:  # noqa: PLR2004 - SPS
            self._fields.take_sequence(whole)
        number = Bits(whole[1:9] if kind == 8 else whole[4:12]).golomb()  # noqa: PLR2004 - PPS
        return self._parameters.changed_by(kind, number, whole)


class HevcReader:
    """Entries are IRAP pictures; disposable are sub-layer non-references of the top layer."""

    def __init__(self, extradata: bytes | None) -> None:
        self._parameters = _Parameters()
        self._top_layer: int | None = None
        self._length_bytes, units = _hvcc(extradata or b"")
        for unit in units:
            self._take_parameters(unit[0] >> 1 & 63, unit)

    def read(self, packet: memoryview, *, is_key: bool) -> PacketKind:  # noqa: ARG002 - not trusted
        """See `KindReader`."""
        is_pinned = False
        kind_of_picture = NEEDED
        for unit in _units(packet, self._length_bytes):
            kind = unit[0] >> 1 & 63
            if len(unit) < _HEAD_BYTES or unit[0] & 1 or unit[1] >> 3:
                continue  # another layer of a multi-layer stream
            if kind in {32, 33, 34}:
                is_pinned |= self._take_parameters(kind, unit)
            elif kind < 32:  # noqa: PLR2004 - slices
                kind_of_picture = self._picture(kind, unit)
                break
        return PINNED if is_pinned else kind_of_picture

    def _picture(self, kind: int, unit: memoryview) -> PacketKind:
        layer = (unit[1] & 7) - 1
        if kind < 16 and kind % 2 == 0 and layer == self._top_layer:  # noqa: PLR2004 - RSV_VCL_R15
            return DISPOSABLE
        if not 16 <= kind <= 21 or unit[2] & 0x40:  # noqa: PLR2004 - no IRAP, or one that drops
            return NEEDED  # the pictures before it which are not yet shown
        return CLOSED_ENTRY if kind in {19, 20} else ENTRY  # IDR

    def _take_parameters(self, kind: int, unit: memoryview) -> bool:
        if kind == 33 and len(unit) > 2:  # noqa: PLR2004 - SPS
            self._top_layer = max(self._top_layer or 0, unit[2] >> 1 & 7)
        number = Bits(bytes(unit[2:8])).golomb() if kind == 34 else 0  # noqa: PLR2004 - PPS
        return self._parameters.changed_by(kind, number, _cut(unit))


def _units(packet: memoryview, length_bytes: int) -> Iterator[memoryview]:
    """The non-empty NAL units of a packet.

    Raises:
        PlanBroken: the lengths are invalid; some muxers write start codes in their place.
    """
    if not length_bytes:
        yield from _after_start_codes(packet)
        return
    at = 0
    while at + length_bytes < len(packet):
        size = int.from_bytes(packet[at : at + length_bytes])
        at += length_bytes
        if at + size > len(packet):
            raise PlanBroken
        if size:
            yield packet[at : at + size]
        at += size


def _after_start_codes(packet: memoryview) -> Iterator[memoryview]:
    """The starts of units; each slice runs on to the packet's end, which saves a search."""
    data = bytes(packet)
    at = data.find(_START_CODE)
    while 0 <= at < len(data) - 3:
        yield packet[at + 3 :]
        at = data.find(_START_CODE, at + 3)


def _cut(unit: memoryview) -> bytes:
    """A short unit without the data after it; start codes do not occur within a unit."""
    return bytes(unit[:_MOST_PARAMETER_BYTES]).partition(_START_CODE)[0].rstrip(b"\x00")


def _avcc(extradata: bytes) -> tuple[int, list[memoryview]]:
    """The size of a NAL unit's length field, 0 for start codes, and the parameter sets."""
    if extradata[:1] != b"\x01" or len(extradata) < 7:  # noqa: PLR2004 - an avcC's least size
        return 0, list(_after_start_codes(memoryview(extradata)))
    data = memoryview(extradata)
    units: list[memoryview] = []
    at = 5
    for mask in (0x1F, 0xFF):
        count = extradata[at] & mask if at < len(extradata) else 0
        at = _sized(data, at + 1, count, units)
    return (extradata[4] & 3) + 1, units


def _hvcc(extradata: bytes) -> tuple[int, list[memoryview]]:
    if extradata[:3] in {b"\x00\x00\x00", b"\x00\x00\x01"} or len(extradata) < 23:  # noqa: PLR2004
        return 0, list(_after_start_codes(memoryview(extradata)))
    data = memoryview(extradata)
    units: list[memoryview] = []
    at = 23
    for _ in range(extradata[22]):
        count = int.from_bytes(extradata[at + 1 : at + 3])
        at = _sized(data, at + 3, count, units)
    return (extradata[21] & 3) + 1, units


def _sized(data: memoryview, at: int, count: int, units: list[memoryview]) -> int:
    """Append `count` units, each preceded by two bytes of length; return where they end."""
    for _ in range(count):
        size = int.from_bytes(data[at : at + 2])
        unit = data[at + 2 : at + 2 + size]
        if len(unit) >= _HEAD_BYTES:
            units.append(unit)
        at += 2 + size
    return at


def _is_exact_recovery_point(sei: memoryview) -> bool:
    """Whether an SEI unit says that every picture from here on is exact (H.264 D.1.8)."""
    data = _cut(sei[1:]).replace(b"\x00\x00\x03", b"\x00\x00")
    at = 0
    while at + 2 < len(data):
        kind, at = _summed(data, at)
        size, at = _summed(data, at)
        if kind == 6:  # noqa: PLR2004 - recovery point
            bits = Bits(data[at : at + size])
            frames_until_exact, is_exact = bits.golomb(), bits.take(1)
            return frames_until_exact == 0 and bool(is_exact)
        at += size
    return False


def _summed(data: bytes, at: int) -> tuple[int, int]:
    total = 0
    while at < len(data) and data[at] == 0xFF:  # noqa: PLR2004 - more follows
        total += 255
        at += 1
    return total + (data[at] if at < len(data) else 0), at + 1
