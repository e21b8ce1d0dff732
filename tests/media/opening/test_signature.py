"""Why a file cannot be opened: cut off, damaged, or no video at all."""

import struct

import pytest

from captionfleet.media.opening.signature import Verdict, judge


def verdict(content: bytes, *, met_end: bool = False) -> Verdict:
    """Judge bytes."""
    return judge(
        lambda offset, size: content[offset : offset + size], len(content), met_end=met_end
    )


def box(
    kind: bytes, size_bytes: int, *, claimed: int | None = None, is_wide: bool = False
) -> bytes:
    """An MP4 box of so many bytes; it may claim others, and state its size in eight bytes."""
    length = size_bytes if claimed is None else claimed
    head = struct.pack(">I4sQ", 1, kind, length) if is_wide else struct.pack(">I4s", length, kind)
    return head.ljust(size_bytes, b"\0")


FTYP = box(b"ftyp", 24)
MOOV = box(b"moov", 300)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (FTYP + box(b"mdat", 1000) + MOOV, Verdict.DAMAGED),
        (FTYP + box(b"mdat", 1000, is_wide=True) + MOOV, Verdict.DAMAGED),
        (FTYP + box(b"free", 8) + MOOV + box(b"mdat", 1000), Verdict.DAMAGED),
        (FTYP + box(b"mdat", 1000), Verdict.CUT_OFF),
        (FTYP + box(b"mdat", 1000, claimed=5000), Verdict.CUT_OFF),
        (FTYP + box(b"mdat", 1000, claimed=0), Verdict.CUT_OFF),
        (FTYP + box(b"mdat", 1000) + MOOV[:-1], Verdict.CUT_OFF),
        (FTYP + b"\0\0\0", Verdict.CUT_OFF),
        (FTYP + box(b"mdat", 1000) + b"\x93" * 500, Verdict.DAMAGED),
        (FTYP + box(b"free", 8, claimed=3) + MOOV, Verdict.DAMAGED),
        (box(b"skip", 8) * 100_000, Verdict.DAMAGED),
    ],
)
def test_mp4_is_cut_off_where_its_boxes_end_before_the_index(
    content: bytes, expected: Verdict
) -> None:
    """The outermost boxes say whether the index is there; a walk over them is bounded."""
    assert verdict(content) is expected


def test_avi_says_how_long_it_is() -> None:
    """An AVI shorter than its header says is cut off."""
    whole = b"RIFF" + struct.pack("<I", 1000) + b"AVI LIST".ljust(1000, b"\0")
    assert verdict(whole) is Verdict.DAMAGED
    assert verdict(whole[:-1]) is Verdict.CUT_OFF


@pytest.mark.parametrize("magic", [b"\x1aE\xdf\xa3", b"FLV\x01\x05", b"\x00\x00\x01\xba", b"OggS"])
def test_others_are_cut_off_where_the_end_was_met(magic: bytes) -> None:
    """Of other containers, libav's meeting the end tells."""
    assert verdict(magic.ljust(500, b"\0"), met_end=True) is Verdict.CUT_OFF
    assert verdict(magic.ljust(500, b"\0")) is Verdict.DAMAGED


@pytest.mark.parametrize("content", [b"", b"G", b"words " * 50, bytes(1000), b"RIFF\0\0\0\0WAVE"])
def test_anything_else_is_no_video(content: bytes) -> None:
    """What bears no container's mark is not called a video, however it ends."""
    assert verdict(content) is Verdict.NO_VIDEO
    assert verdict(content, met_end=True) is Verdict.NO_VIDEO


def test_transport_stream_is_known_by_its_syncs() -> None:
    """A transport stream has its mark every 188 bytes."""
    assert verdict((b"G" + bytes(187)) * 6) is Verdict.DAMAGED
    assert verdict((b"G" + bytes(188)) * 6) is Verdict.NO_VIDEO
