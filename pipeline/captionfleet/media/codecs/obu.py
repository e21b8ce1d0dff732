"""Parses AV1 packets up to their frame headers; pure (worker process).

Sections are those of the AV1 bitstream specification.
"""

from collections.abc import Iterator

from captionfleet.media.codecs.packet_kind import CLOSED_ENTRY, NEEDED, PINNED, PacketKind

__all__ = ["Av1Reader"]

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_SHOWN_KEY_FRAME = 0b0001  # show_existing_frame, two bits of frame_type, show_frame (5.9.2)
_CONFIG_BYTES = 4


class Av1Reader:
    """Entries are temporal units of a sequence header and a key frame that is shown."""

    def __init__(self, extradata: bytes | None) -> None:
        self._sequence: bytes | None = None
        config = memoryview(extradata or b"")
        if config[:1].tobytes() == b"\x81":  # av1C, before the OBUs
            config = config[_CONFIG_BYTES:]
        for kind, payload in _units(config):
            if kind == _SEQUENCE_HEADER:
                self._sequence = bytes(payload)

    def read(self, packet: memoryview, *, is_key: bool) -> PacketKind:  # noqa: ARG002 - not trusted
        """See `KindReader`."""
        has_sequence = False
        for kind, payload in _units(packet):
            if kind == _SEQUENCE_HEADER:
                has_sequence = True
                before, self._sequence = self._sequence, bytes(payload)
                if before not in {None, self._sequence}:
                    return PINNED
            elif kind in {_FRAME_HEADER, _FRAME} and payload:
                is_entry = has_sequence and payload[0] >> 4 == _SHOWN_KEY_FRAME
                return CLOSED_ENTRY if is_entry else NEEDED
        return NEEDED


def _units(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The open bitstream units: type and payload (5.3); ends at the first invalid one."""
    at = 0
    while at < len(data):
        header = data[at]
        at += 2 if header & 4 else 1
        size = len(data) - at
        if header & 2:
            size, at = _leb128(data, at)
        yield header >> 3 & 15, data[at : at + size]
        at += size


def _leb128(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 56, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
    return value, at
