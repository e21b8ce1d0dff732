"""A long film in a file of many gigabytes, most of them a hole: a minute over and over."""

import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

_FPS, _GOP = 5, 10
_MINUTE_S = 60
_SIZE_PX = (192, 144)


class SparseFilm(NamedTuple):
    """What the film takes, in bytes: one minute of its packets, and its index."""

    minute_bytes: int
    index_bytes: int


def write_sparse_film(path: Path, minutes: int, size_bytes: int) -> SparseFilm:
    """An MP4 with its index at the end, behind a hole that makes the file this large."""
    whole = path.with_suffix(".whole.mp4")
    minute_bytes = _write_minutes(whole, minutes)
    index_bytes = 0
    with whole.open("rb") as source, path.open("wb") as target:
        for kind, start, length in _boxes(whole):
            source.seek(start)
            if kind == b"moov":
                index_bytes = length
                hole_bytes = size_bytes - length - target.tell()
                target.write(struct.pack(">I4sQ", 1, b"free", hole_bytes))
                target.seek(size_bytes - length)
            target.write(source.read(length))
    whole.unlink()
    os.utime(path, ns=(0, 0))
    return SparseFilm(minute_bytes, index_bytes)


def _boxes(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and length of each box of a file."""
    at, end = 0, path.stat().st_size
    with path.open("rb") as file:
        while at < end:
            file.seek(at)
            length, kind = struct.unpack(">I4s", file.read(8))
            yield kind, at, length
            at += length


def _write_minutes(path: Path, minutes: int) -> int:
    """Encode one minute of noise, and write its packets so often; how many bytes they are."""
    with av.open(path, "w") as target:
        stream = target.add_stream("libx264", rate=_FPS)
        stream.width, stream.height = _SIZE_PX
        stream.pix_fmt = "yuv420p"
        stream.codec_context.options = {
            "preset": "ultrafast", "crf": "28", "g": str(_GOP), "bf": "0", "sc_threshold": "0",
        }  # fmt: skip
        stream.time_base = Fraction(1, _FPS)
        packets = [(one.is_keyframe, bytes(one)) for one in _encoded(stream)]
        for minute in range(minutes):
            for number, (is_keyframe, data) in enumerate(packets):
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, Fraction(1, _FPS)
                packet.pts = packet.dts = minute * len(packets) + number
                packet.duration, packet.is_keyframe = 1, is_keyframe
                target.mux(packet)
    return sum(len(data) for _, data in packets)


def _encoded(stream: av.VideoStream) -> Iterator[av.Packet]:
    noise = np.random.default_rng(7)
    width_px, height_px = _SIZE_PX
    for _ in range(_FPS * _MINUTE_S):
        picture = noise.integers(0, 256, (height_px * 3 // 2, width_px), dtype=np.uint8)
        yield from stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p"))
    yield from stream.encode(None)
