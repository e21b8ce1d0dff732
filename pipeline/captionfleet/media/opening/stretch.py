"""Checks whether a stretch of a file is intact, by the container's framing; pure (worker process).

A demuxer skips damage silently, so a hole looks like a pause of the recorder. The framing of the
container distinguishes them: across a pause it continues without a fault.
"""

import struct
from collections.abc import Callable

from captionfleet.media.opening.signature import ReadAt

__all__ = ["has_framing", "is_unbroken"]

# A gap lasts at most 10 s (beyond that the clock was reset): 50 Mbit/s, most of it stuffing.
_MOST_BYTES = 64 * 2**20

_SYNC = 0x47
_TS_STEPS = ((188, 0), (192, 4), (204, 0))  # plain; with a time before each (M2TS); with parity
_NULL_PID = 0x1FFF

_PACK, _PROGRAM_END, _LEAST_STREAM = 0xBA, 0xB9, 0xBB

# File Properties Object, of which the last but one field is the size of a packet (ASF 3.2).
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_PACKET_SIZE_AT = 92
_ASF_HEAD_BYTES = 3  # what error correction is there, the same in each packet (ASF 5.2.1)


def has_framing(format_name: str) -> bool:
    """Whether a container format, by libav's name, has framing that reveals missing data."""
    return format_name in _CHECKS


def is_unbroken(format_name: str, read_at: ReadAt, begin: int, end: int) -> bool:
    """Whether the framing continues without a fault between two packets.

    Args:
        format_name: as libav calls the container.
        read_at: reads the file.
        begin: the first byte of the unit in which a packet before the gap begins.
        end: the same of a packet behind it.
    """
    if not 0 <= begin < end <= begin + _MOST_BYTES or not has_framing(format_name):
        return False
    return _CHECKS[format_name](read_at, begin, end)


def _transport_packets(read_at: ReadAt, begin: int, end: int) -> bool:
    """MPEG-TS: each packet has its sync byte, and counts on (ISO/IEC 13818-1, 2.4.3)."""
    data = read_at(begin, end - begin + 1)
    steps = (step for step, at in _TS_STEPS if data[at : at + step + 1 : step] == b"GG")
    if (step := next(steps, 0)) == 0:
        return False
    at = dict(_TS_STEPS)[step]
    counters: dict[int, int] = {}
    return all(
        _follows(data[one : one + 6], counters) for one in range(at, len(data) - at - 5, step)
    )


def _follows(head: bytes, counters: dict[int, int]) -> bool:
    """Whether a transport packet is the next one of its stream, or a repetition."""
    if head[0] != _SYNC:
        return False
    pid, control = (head[1] & 0x1F) << 8 | head[2], head[3] >> 4 & 3
    counter, before = head[3] & 0x0F, counters.get(pid)
    if pid == _NULL_PID or not control & 1:  # without a payload the counter stays
        return True
    is_announced = bool(control & 2 and head[4] and head[5] & 0x80)  # discontinuity_indicator
    counters[pid] = counter
    return is_announced or before is None or counter in {before, (before + 1) % 16}


def _program_packets(read_at: ReadAt, begin: int, end: int) -> bool:
    """MPEG-PS: packs and packets lie end to end (13818-1, 2.5.3; MPEG-1: 11172-1, 2.4.3)."""
    data = read_at(begin, end - begin + 1)
    at = 0
    while at < end - begin:
        head = data[at : at + 14]
        if len(head) < 6 or head[:3] != b"\0\0\1" or head[3] < _PROGRAM_END:  # noqa: PLR2004 - code and length
            return False
        at += _program_unit_bytes(head)
    return at == end - begin


def _program_unit_bytes(head: bytes) -> int:
    if head[3] == _PROGRAM_END:
        return 4
    if head[3] >= _LEAST_STREAM:
        return 6 + int.from_bytes(head[4:6])
    is_mpeg_1 = head[4] >> 4 == 2  # noqa: PLR2004 - its marker
    return 12 if is_mpeg_1 else 14 + (head[-1] & 7)


def _media_packets(read_at: ReadAt, begin: int, end: int) -> bool:
    """ASF: packets of one size, each with the same error correction in front."""
    head = read_at(0, 1 << 16)
    at = head.find(_ASF_PROPERTIES)
    if at < 0 or len(head) < at + _ASF_PACKET_SIZE_AT + 8:
        return False
    least, most = struct.unpack_from("<II", head, at + _ASF_PACKET_SIZE_AT)
    if least != most or least <= _ASF_HEAD_BYTES or (end - begin) % least:
        return False
    data = read_at(begin, end - begin + _ASF_HEAD_BYTES)
    heads = {data[one : one + _ASF_HEAD_BYTES] for one in range(0, end - begin + 1, least)}
    return len(heads) == 1


_CHECKS: dict[str, Callable[[ReadAt, int, int], bool]] = {
    "mpegts": _transport_packets,
    "mpeg": _program_packets,
    "asf": _media_packets,
}
