"""Explains why a file cannot be opened: cut off, damaged, or no video (worker process; pure).

Called only for files that libav could not open; a function supplies their bytes.
"""

import struct
from collections.abc import Callable
from enum import Enum

__all__ = ["Verdict", "judge"]

ReadAt = Callable[[int, int], bytes]
"""Takes an offset and a number of bytes; returns fewer only at the end of the file."""

_BOXES = set(
    b"ftyp moov mdat wide free skip styp moof sidx ssix mfra meta uuid udta pnot pdin".split()
)
_MAGIC = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"0&\xb2u\x8ef\xcf\x11",  # ASF, WMV
    b"OggS",
    b"GIF8",
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"DKIF",  # IVF
    b".RMF",
    b"\x06\x0e+4\x02\x05\x01\x01",  # MXF
    b"nut/",
)
_MOST_BOXES = 10_000
_TS_PACKET_BYTES = 188
_TS_SYNC = 0x47


class Verdict(Enum):
    """Why a file cannot be opened."""

    NO_VIDEO = "not a video container that this program opens"
    CUT_OFF = "the file ends before its index or its header does"
    DAMAGED = "the header is damaged"


def judge(read_at: ReadAt, size_bytes: int, *, met_end: bool) -> Verdict:
    """Judge by the first bytes, and by the lengths that they announce.

    Args:
        read_at: reads the file.
        size_bytes: its length.
        met_end: whether libav gave up because it met the end of the file.
    """
    head = read_at(0, 1024)
    if head[4:8] in _BOXES:
        return Verdict.DAMAGED if _has_whole_index(read_at, size_bytes) else Verdict.CUT_OFF
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        is_whole = struct.unpack_from("<I", head, 4)[0] <= size_bytes - 8
        return Verdict.DAMAGED if is_whole and not met_end else Verdict.CUT_OFF
    if head.startswith(_MAGIC) or _is_transport_stream(head):
        return Verdict.CUT_OFF if met_end else Verdict.DAMAGED
    return Verdict.NO_VIDEO


def _has_whole_index(read_at: ReadAt, size_bytes: int) -> bool:
    """Walk the outermost boxes of an MP4 to its `moov`."""
    offset = 0
    for _ in range(_MOST_BOXES):
        header = read_at(offset, 16)
        if len(header) < 8:  # noqa: PLR2004 - a size and a name, both of four bytes
            return False
        length, kind = struct.unpack_from(">I4s", header)
        if length == 1 and len(header) == 16:  # noqa: PLR2004 - the size follows, in eight bytes
            (length,) = struct.unpack_from(">Q", header, 8)
        if length == 0:
            length = size_bytes - offset
        if kind == b"moov":
            return bool(offset + length <= size_bytes)
        if kind not in _BOXES or length < 8:  # noqa: PLR2004 - its own header
            return True  # data follows that is not a box: damaged, not cut off
        offset += length
    return True


def _is_transport_stream(head: bytes) -> bool:
    syncs = head[::_TS_PACKET_BYTES]
    return len(syncs) > 1 and all(byte == _TS_SYNC for byte in syncs)
