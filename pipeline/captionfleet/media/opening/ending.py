"""Checks whether a file ends where its container says, or is cut off; pure (worker process).

A duration in a header proves nothing: edit lists shorten it, other streams lengthen it, recorders
guess it. The container's own size does.
"""

import struct
from collections.abc import Callable

from captionfleet.media.opening.signature import ReadAt

__all__ = ["ends_regularly"]

_MOST_CHUNKS = 10_000
_SEGMENT = b"\x18\x53\x80\x67"  # of Matroska (RFC 9559)
_FLV_TAG_HEADER_BYTES = 11


def ends_regularly(format_name: str, read_at: ReadAt, size_bytes: int) -> bool:
    """Whether the file holds everything that its container announces.

    Args:
        format_name: as libav calls the container.
        read_at: reads the file.
        size_bytes: its length.
    """
    check = _CHECKS.get(format_name)
    return check is None or check(read_at, size_bytes)


def _boxes(read_at: ReadAt, size_bytes: int) -> bool:
    """MP4: each outermost box ends within the file (ISO/IEC 14496-12, 4.2)."""
    offset = 0
    for _ in range(_MOST_CHUNKS):
        header = read_at(offset, 16)
        if len(header) < 8:  # noqa: PLR2004 - a size and a name, both of four bytes
            return True
        (length,) = struct.unpack_from(">I", header)
        if length == 1 and len(header) == 16:  # noqa: PLR2004 - the size follows, in eight bytes
            (length,) = struct.unpack_from(">Q", header, 8)
        if length < 8:  # noqa: PLR2004 - it lasts to the end, or is not a box
            return True
        offset += length
        if offset > size_bytes:
            return False
    return True


def _riffs(read_at: ReadAt, size_bytes: int) -> bool:
    """AVI: each RIFF chunk, of which large files have several, ends within the file."""
    offset = 0
    for _ in range(_MOST_CHUNKS):
        header = read_at(offset, 8)
        if len(header) < 8 or header[:4] != b"RIFF":  # noqa: PLR2004 - a name and a size
            return True
        (length,) = struct.unpack_from("<I", header, 4)
        offset += 8 + length + length % 2
        if offset > size_bytes + 1:  # padding may be left out at the end
            return False
    return True


def _segment(read_at: ReadAt, size_bytes: int) -> bool:
    """Matroska: the segment ends within the file; one of unknown size ends anywhere."""
    head = read_at(0, 4096)
    at = head.find(_SEGMENT)
    if at < 0 or at + 5 > len(head):
        return True
    first = head[at + 4]
    width = 9 - first.bit_length()
    if width > 8:  # noqa: PLR2004 - no size has more bytes
        return True
    field = head[at + 4 : at + 4 + width]
    length = int.from_bytes(field) & ((1 << 7 * width) - 1)
    is_unknown = length == (1 << 7 * width) - 1
    return is_unknown or at + 4 + width + length <= size_bytes


def _tags(read_at: ReadAt, size_bytes: int) -> bool:
    """FLV: the file ends with the size of its last tag, which lies before it (FLV 10.1, E.3)."""
    tail = read_at(max(0, size_bytes - 4), 4)
    tag_bytes = int.from_bytes(tail)
    begin = size_bytes - 4 - tag_bytes
    if len(tail) < 4 or tag_bytes < _FLV_TAG_HEADER_BYTES or begin < 0:  # noqa: PLR2004 - as above
        return False
    return int.from_bytes(read_at(begin + 1, 3)) == tag_bytes - _FLV_TAG_HEADER_BYTES


_CHECKS: dict[str, Callable[[ReadAt, int], bool]] = {
    "mov,mp4,m4a,3gp,3g2,mj2": _boxes,
    "avi": _riffs,
    "matroska,webm": _segment,
    "flv": _tags,
}
