"""Decides from a packet's bytes which neighbouring packets need no decoding; pure (worker process).

Add a codec here only with a test that compares every frame with full decoding. Packets are left out
before they reach the decoder, so that all decoders behave alike; the decoder's skip_frame is not
used (libdav1d ignores it).

- H.264 and HEVC mark pictures to which no other refers, and pictures where decoding may start. -
VP8, VP9 and AV1 start at shown key frames; their references are too deep in the headers to read, so
nothing is left out between key frames. AV1 also needs the sequence header. - MPEG-1, MPEG-2 and
MPEG-4 part 2 start at I pictures, after whose open GOPs the decoder drops the B pictures shown
before; B pictures are left out. A packet that the container marks as a key frame may lack the
headers. Packed MPEG-4 (two pictures in a packet, as DivX in AVI) is decoded in full.
"""

from collections.abc import Callable

from captionfleet.media.codecs.nal import H264Reader, HevcReader
from captionfleet.media.codecs.obu import Av1Reader
from captionfleet.media.codecs.packet_kind import (
    CLOSED_ENTRY,
    DISPOSABLE,
    ENTRY,
    HIDDEN,
    INTRA,
    NEEDED,
    PINNED,
    KindReader,
    PacketKind,
    PlanBroken,
)

__all__ = ["reader_for"]

_DHT, _DQT, _SOS, _LOSSLESS = 0xC4, 0xDB, 0xDA, 0xC3  # JPEG markers (ITU-T T.81, B.1.1.3)


class _IntraReader:
    """For codecs without references between frames."""

    def read(self, packet: memoryview, *, is_key: bool) -> PacketKind:  # noqa: ARG002 - see above
        """See `KindReader`."""
        return INTRA


class _JpegReader:
    """For JPEG: a frame is independent if it holds all its tables; decoders keep the last ones."""

    def __init__(self) -> None:
        self._has_huffman = False

    def read(self, packet: memoryview, *, is_key: bool) -> PacketKind:  # noqa: ARG002 - see above
        """See `KindReader`."""
        markers = _jpeg_markers(packet)
        quantised = _DQT in markers or _LOSSLESS in markers
        if not quantised or (self._has_huffman and _DHT not in markers):
            raise PlanBroken
        self._has_huffman |= _DHT in markers
        return INTRA


def _jpeg_markers(packet: memoryview) -> set[int]:
    """The second bytes of the markers before the first scan (ITU-T T.81, B.1.1)."""
    markers: set[int] = set()
    at = 2
    while at + 4 <= len(packet) and packet[at] == 0xFF and packet[at + 1] != _SOS:  # noqa: PLR2004
        markers.add(packet[at + 1])
        at += 2 + int.from_bytes(packet[at + 2 : at + 4])
    return markers


class _Vp8Reader:
    """Entries are key frames that are shown (RFC 6386, 9.1)."""

    def read(self, packet: memoryview, *, is_key: bool) -> PacketKind:
        """See `KindReader`."""
        is_shown = bool(packet[0] & 0x10)
        if is_key and not packet[0] & 1 and is_shown:
            return CLOSED_ENTRY
        return NEEDED if is_shown else HIDDEN


class _Vp9Reader:
    """Entries are key frames that are shown; frames within a superframe are not parsed."""

    def read(self, packet: memoryview, *, is_key: bool) -> PacketKind:
        """See `KindReader`."""
        bits = packet[0] << 8 | (packet[1] if len(packet) > 1 else 0)
        if bits & 0x3000 == 0x3000:  # noqa: PLR2004 - profile 3 has a bit more
            bits <<= 1
        shows_older, is_inter, is_shown = bits & 0x800, bits & 0x400, bits & 0x200
        if packet[-1] & 0xE0 == 0xC0:  # noqa: PLR2004 - superframe index
            return NEEDED
        if is_key and not shows_older and not is_inter and is_shown:
            return CLOSED_ENTRY
        return NEEDED if shows_older or is_shown else HIDDEN


class _MpegReader:
    """MPEG-1 and MPEG-2: entries are I pictures after a sequence header; B are disposable."""

    def __init__(self) -> None:
        self._size: bytes | None = None

    def read(self, packet: memoryview, *, is_key: bool) -> PacketKind:  # noqa: ARG002 - not trusted
        """See `KindReader`."""
        data = bytes(packet)
        picture = data.find(b"\x00\x00\x01\x00")
        if not 0 <= picture < len(data) - 5:
            return NEEDED
        kind = data[picture + 5] >> 3 & 7
        sequence = data.find(b"\x00\x00\x01\xb3", 0, picture)
        if sequence < 0:
            return DISPOSABLE if kind == 3 else NEEDED  # noqa: PLR2004 - B
        before, self._size = self._size, data[sequence + 4 : sequence + 8]
        if before not in {None, self._size}:
            return PINNED
        return ENTRY if kind == 1 else NEEDED


class _Mpeg4Reader:
    """MPEG-4 part 2: entries are I-VOPs; B-VOPs are disposable."""

    def __init__(self) -> None:
        self._layer: bytes | None = None

    def read(self, packet: memoryview, *, is_key: bool) -> PacketKind:  # noqa: ARG002 - not trusted
        """See `KindReader`."""
        data = bytes(packet)
        header, is_vop, vop = data.partition(b"\x00\x00\x01\xb6")
        if not is_vop or not vop:
            return NEEDED
        if b"\x00\x00\x01\xb6" in vop:
            raise PlanBroken  # packed: two frames in a packet, and an empty packet next
        if self._is_other_layer(header):
            return PINNED
        kind = vop[0] >> 6
        return ENTRY if kind == 0 else DISPOSABLE if kind == 2 else NEEDED  # noqa: PLR2004 - B

    def _is_other_layer(self, header: bytes) -> bool:
        if b"\x00\x00\x01\x20" not in header:
            return False
        before, self._layer = self._layer, header.partition(b"\x00\x00\x01\x20")[2]
        return before not in {None, self._layer}


def _intra(_: bytes | None) -> KindReader:
    return _IntraReader()


_READERS: dict[str, Callable[[bytes | None], KindReader]] = {
    "h264": H264Reader,
    "hevc": HevcReader,
    "libdav1d": Av1Reader,
    "vp8": lambda _: _Vp8Reader(),
    "vp9": lambda _: _Vp9Reader(),
    "mpeg1video": lambda _: _MpegReader(),
    "mpeg2video": lambda _: _MpegReader(),
    "mpeg4": lambda _: _Mpeg4Reader(),
    "mjpeg": lambda _: _JpegReader(),
    **dict.fromkeys(("dnxhd", "dvvideo", "prores", "rawvideo"), _intra),
}


def reader_for(decoder: str, extradata: bytes | None) -> KindReader | None:
    """The packet reader for a decoder (libavcodec's name); None if everything must be decoded.

    Args:
        decoder: the decoder in use; other decoders of the codec may behave differently.
        extradata: the codec's settings from the container.
    """
    make = _READERS.get(decoder)
    return None if make is None else make(extradata)
