"""Writes H.264 streams that no encoder at hand makes: fields, odd entries, long-term references.

Pictures are 64x64 and made of two kinds of macroblock: raw samples (I_PCM) and skipped ones, which
repeat a reference. An I picture is raw and grey all over; a P or B picture has one raw block that
tells its number, so that a decoder which has lost a reference shows something else.

Syntax: ITU-T H.264, 7.3; CAVLC, main profile, one slice a picture.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

MB_ROWS = MB_COLUMNS = 4
FPS = 25
_TICKS = 90_000 // FPS
_SLICE_TYPE = {"P": 5, "B": 6, "I": 7}
_RAW_BLOCK = {"P": 30, "B": 48, "I": 25}
_REORDERED = 2


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture in decoding order.

    Args:
        kind: I, P or B.
        number: its place in the order of showing, from the stream's start.
        idr: begins anew; numbers of references start again.
        reference: others may refer to it.
        recovery: says so in an SEI message: frames until all is exact, and whether exact.
        fields: is coded as two fields; the second of an IDR picture is a P.
        oldest: a P picture that repeats the oldest reference instead of the newest.
        key: what the container says; None for the truth about IDR.
    """

    kind: str
    number: int
    idr: bool = False
    reference: bool = True
    recovery: tuple[int, bool] | None = None
    fields: bool = False
    oldest: bool = False
    key: bool | None = None


class _Bits:
    """A raw byte sequence payload, bit by bit."""

    def __init__(self) -> None:
        self._bits: list[str] = []
        self._count = 0

    def u(self, count: int, value: int) -> "_Bits":
        self._bits.append(f"{value:0{count}b}")
        self._count += count
        return self

    def ue(self, *values: int) -> "_Bits":
        for value in values:
            code = f"{value + 1:b}"
            self.u(2 * len(code) - 1, value + 1)
        return self

    def raw(self, samples: bytes) -> "_Bits":
        """Samples at the next byte border."""
        self.u(-self._count % 8, 0) if self._count % 8 else None
        return self.u(8 * len(samples), int.from_bytes(samples))

    def unit(self, header: int) -> bytes:
        """The NAL unit, with start code, stop bit and emulation prevention."""
        self.u(1, 1)
        if self._count % 8:
            self.u(-self._count % 8, 0)
        payload = int("".join(self._bits), 2).to_bytes(self._count // 8)
        safe = bytearray()
        zeros = 0
        for byte in payload:
            if zeros >= 2 and byte <= 3:
                safe.append(3)
                zeros = 0
            safe.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return b"\x00\x00\x00\x01" + bytes([header]) + bytes(safe)


def _parameters(*, interlaced: bool, references: int) -> bytes:
    bits = _Bits().u(8, 77).u(8, 0).u(8, 30).ue(0, 4, 0, 4, references).u(1, 0)
    bits.ue(MB_COLUMNS - 1, (MB_ROWS // 2 if interlaced else MB_ROWS) - 1)
    if interlaced:
        bits.u(2, 0b00)  # fields and frames, no mixture within a frame
    else:
        bits.u(1, 1)
    bits.u(1, 1).u(1, 0)  # direct_8x8_inference, no cropping
    bits.u(1, 1).u(4, 0).u(1, 1).u(32, 1).u(32, 2 * FPS).u(1, 1).u(3, 0)  # VUI with timing
    bits.u(1, 1).u(1, 1).ue(0, 0, 9, 9, _REORDERED, references)  # bitstream restriction
    picture = _Bits().ue(0, 0).u(2, 0).ue(0, 0, 0).u(3, 0).ue(0, 0, 0).u(3, 0b100)
    return bits.unit(0x67) + picture.unit(0x68)


class _Writer:
    """Numbers the pictures and writes their slices."""

    def __init__(self, *, interlaced: bool) -> None:
        self._interlaced = interlaced
        self._frame_number = 0
        self._idr_count = 0
        self._first_shown = 0
        self._references = 0

    def access_units(self, picture: Picture) -> Iterator[bytes]:
        """The picture's packets: one, or one for each field."""
        if picture.idr:
            self._frame_number = 0
            self._references = 0
            self._first_shown = picture.number
            self._idr_count += 1
        head = b"\x00\x00\x00\x01\x09\xf0"
        if picture.idr or picture.recovery:
            head += _parameters(interlaced=self._interlaced, references=4)
        if picture.recovery:
            frames, is_exact = picture.recovery
            payload = _Bits().ue(frames).u(1, is_exact).u(3, 0)
            message = payload.unit(0)[5:]
            head += _Bits().raw(bytes([6, len(message)]) + message).unit(6)
        if picture.fields:
            second = "P" if picture.idr else picture.kind
            yield head + self._slice(picture, picture.kind, field=0)
            yield b"\x00\x00\x00\x01\x09\xf0" + self._slice(picture, second, field=1)
        else:
            yield head + self._slice(picture, picture.kind, field=None)
        if picture.reference:
            self._frame_number = (self._frame_number + 1) % 256
            self._references += 1

    def _slice(self, picture: Picture, kind: str, field: int | None) -> bytes:
        is_idr = picture.idr and field != 1
        bits = _Bits().ue(0, _SLICE_TYPE[kind], 0).u(8, self._frame_number)
        if self._interlaced:
            bits.u(1, field is not None)
            if field is not None:
                bits.u(1, field)
        if is_idr:
            bits.ue(self._idr_count % 2)
        bits.u(8, (2 * (picture.number - self._first_shown) + (field or 0)) % 256)
        if kind == "B":
            bits.u(1, 1)  # spatial direct
        self._reference_lists(bits, picture, kind)
        if picture.reference:
            bits.u(2 if is_idr else 1, 0)
        bits.ue(0, 1)  # QP as it is, no deblocking
        self._blocks(bits, picture, kind, field)
        return bits.unit((0x60 if picture.reference else 0) | (5 if is_idr else 1))

    def _reference_lists(self, bits: _Bits, picture: Picture, kind: str) -> None:
        if kind != "I":
            bits.u(1, 0)  # as many references as the parameters say: one
        if kind == "P" and picture.oldest:
            back = min(self._references, 4)
            bits.u(1, 1).ue(0, back - 1, 3)
        elif kind == "P":
            bits.u(1, 0)
        elif kind == "B":
            bits.u(2, 0)

    def _blocks(self, bits: _Bits, picture: Picture, kind: str, field: int | None) -> None:
        rows = MB_ROWS // 2 if field is not None else MB_ROWS
        shade = 40 + picture.number * 7 % 170 + (3 if field else 0)
        block = bytes([shade]) * 384
        if kind == "I":
            for _ in range(rows * MB_COLUMNS):
                bits.ue(_RAW_BLOCK["I"]).raw(block)
            return
        place = picture.number % (rows * MB_COLUMNS)
        bits.ue(place, _RAW_BLOCK[kind]).raw(block)
        left = rows * MB_COLUMNS - place - 1
        if left:
            bits.ue(left)


def write_h264(path: Path, pictures: Iterable[Picture]) -> Path:
    """Write pictures, given in decoding order, to a container that `path`'s ending chooses."""
    coded = list(pictures)
    interlaced = any(picture.fields for picture in coded)
    writer = _Writer(interlaced=interlaced)
    with av.open(path, "w") as container:
        stream = container.add_mux_stream("h264", rate=FPS, width=64, height=64)
        stream.time_base = Fraction(1, 90_000)
        for place, picture in enumerate(coded):
            units = list(writer.access_units(picture))
            for field, unit in enumerate(units):
                packet = av.Packet(unit)
                shift = field * _TICKS // 2
                packet.pts = (picture.number + _REORDERED) * _TICKS + shift
                packet.dts = place * _TICKS + shift
                packet.time_base = Fraction(1, 90_000)
                packet.stream = stream
                packet.is_keyframe = (
                    picture.idr if picture.key is None else picture.key
                ) and not field
                container.mux(packet)
    return path


def closed_gops(count: int, *, fields: bool = False) -> Iterator[Picture]:
    """GOPs of 25 frames: I, then a P and two B again and again."""
    for gop in range(count):
        first = 25 * gop
        yield Picture("I", first, idr=True, fields=fields)
        for anchor in range(first + 3, first + 25, 3):
            yield Picture("P", anchor, fields=fields)
            yield Picture("B", anchor - 2, reference=False, fields=fields)
            yield Picture("B", anchor - 1, reference=False, fields=fields)


def open_gops(
    count: int, recovery: tuple[int, bool] | None, *, fields: bool = False, oldest: bool = False
) -> Iterator[Picture]:
    """The same with only the first I an IDR picture; B-frames before an I refer across it.

    `oldest` makes the P after an I refer to before it, which no decoder that starts there has.
    """
    for gop in range(count):
        first = 24 * gop
        yield Picture(
            "I", first, idr=gop == 0, recovery=recovery if gop else None, key=True, fields=fields
        )
        if gop:
            yield from (Picture("B", first - n, reference=False, fields=fields) for n in (2, 1))
        for anchor in range(first + 3, first + 24, 3):
            yield Picture("P", anchor, oldest=oldest and anchor == first + 3, fields=fields)
            yield Picture("B", anchor - 2, reference=False, fields=fields)
            yield Picture("B", anchor - 1, reference=False, fields=fields)
