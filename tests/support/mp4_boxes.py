"""Changes the boxes of an MP4 whose `moov` lies behind its media, so that no offset moves."""

import struct
from pathlib import Path

_TO_SAMPLE_ENTRY = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_STSD_HEAD_BYTES = 8  # version, flags, number of entries
_MATRIX_AT = 44  # in a tkhd of version 0, from its name on


def box(kind: bytes, payload: bytes) -> bytes:
    """A box with its head."""
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def clap(width: int, height: int, right: int, down: int, of: tuple[int, int]) -> bytes:
    """A clean aperture (ISO/IEC 14496-12, 12.1.4): its size and where its upper left corner lies.

    Offsets are those of its centre from the centre of the stored picture, `of` being its size.
    """
    across, along = 2 * right + width - of[0], 2 * down + height - of[1]
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, across, 2, along, 2))


def nclx(primaries: int, transfer: int, matrix: int, *, full_range: bool = False) -> bytes:
    """Colour labels as H.273 numbers them (12.1.5)."""
    return box(
        b"colr", struct.pack(">4sHHHB", b"nclx", primaries, transfer, matrix, full_range << 7)
    )


def dolby_vision(profile: int) -> bytes:
    """A Dolby Vision configuration: version 1.0, level 1, a base layer and its metadata."""
    return box(b"dvcC", struct.pack(">BBH", 1, 0, profile << 9 | 1 << 3 | 0b101) + bytes(20))


def add_to_first_track(path: Path, added: bytes) -> None:
    """Put boxes at the end of the first track's sample entry."""
    data = bytearray(path.read_bytes())
    assert data.index(b"mdat") < data.index(b"moov")
    at, end = 0, len(data)
    heads = []
    for kind in _TO_SAMPLE_ENTRY:
        at = _find(data, kind, at, end)
        heads.append(at)
        end = at + _size(data, at)
        at += 8 + (_STSD_HEAD_BYTES if kind == b"stsd" else 0)
    heads.append(at)
    where = at + _size(data, at)
    for head in heads:
        struct.pack_into(">I", data, head, _size(data, head) + len(added))
    data[where:where] = added
    path.write_bytes(data)


def set_matrix(path: Path, matrix: tuple[int, ...]) -> None:
    """Give the first track another display matrix."""
    data = bytearray(path.read_bytes())
    struct.pack_into(">9i", data, data.index(b"tkhd") + _MATRIX_AT, *matrix)
    path.write_bytes(data)


def _find(data: bytes | bytearray, kind: bytes, at: int, end: int) -> int:
    while at < end:
        if data[at + 4 : at + 8] == kind:
            return at
        at += _size(data, at)
    raise AssertionError(kind)


def _size(data: bytes | bytearray, at: int) -> int:
    size: int = struct.unpack_from(">I", data, at)[0]
    return size
