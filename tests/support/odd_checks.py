"""Checks of an odd file's pictures, by PyAV and by its bytes, and the readers they share."""

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import oracle
from tests.support.odd_films import BT2020

Check = Callable[[Path], None]


def video(**expected: object) -> Check:
    """Expect attributes of the first video stream's codec context."""

    def check(path: Path) -> None:
        with av.open(path) as container:
            context = container.streams.video[0].codec_context
            assert {name: getattr(context, name) for name in expected} == expected

    return check


def frames(path: Path) -> list[Any]:
    with av.open(path) as container:
        return list(container.decode(video=0))


def packets(path: Path) -> list[Any]:
    with av.open(path) as container:
        return [p for p in container.demux(container.streams.video[0]) if p.size]


def kinds(path: Path) -> str:
    """The frames' picture types in order, as in "IBBP"."""
    return "".join("?IPBS"[frame.pict_type] for frame in frames(path))


def codec(name: str, picture_types: str = "") -> Check:
    def check(path: Path) -> None:
        with av.open(path) as container:
            assert container.streams.video[0].codec_context.codec.canonical_name == name
        assert set(kinds(path)) >= set(picture_types)

    return check


def lasts(seconds: float, frame_count: int) -> Check:
    def check(path: Path) -> None:
        with av.open(path) as container:
            assert container.streams.video[0].frames == frame_count
            assert container.duration == pytest.approx(seconds * av.time_base, abs=2)

    return check


def rate(fps: Fraction) -> Check:
    def check(path: Path) -> None:
        with av.open(path) as container:
            assert container.streams.video[0].average_rate == fps

    return check


def gaps_s(shortest: float, longest: float) -> Check:
    def check(path: Path) -> None:
        steps = np.diff([frame.time for frame in frames(path)])
        assert (steps.min(), steps.max()) == pytest.approx((shortest, longest), abs=2e-3)

    return check


def refused_by_guide_width(path: Path) -> None:
    with pytest.raises(oracle.OracleError, match="not divisible by 2"):
        oracle.ffmpeg("-i", path, "-vf", "fps=1,scale=-1:360", path.with_name("out.mp4"))


def turned(degrees: int, *, mirrored: bool = False) -> Check:
    def check(path: Path) -> None:
        frame = frames(path)[0]
        matrix = np.frombuffer(frame.side_data["DISPLAYMATRIX"], dtype="<i4").reshape(3, 3)
        assert frame.rotation == degrees
        assert bool(np.linalg.det(matrix[:2, :2].astype(float)) < 0) == mirrored

    return check


def stored_square_shown_wide(path: Path) -> None:
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.sample_aspect_ratio == Fraction(64, 45)
        assert stream.display_aspect_ratio == Fraction(16, 9)


def combed(path: Path) -> None:
    """The frames say that they are interlaced, and their lines zigzag where something moves."""
    decoded = frames(path)
    assert all(frame.interlaced_frame for frame in decoded)
    assert any(zigzags(frame.to_ndarray()[24:96].astype(int)) for frame in decoded)


def zigzags(luma: NDArray[np.int_], steps: int = 4, contrast: int = 60) -> bool:
    """Whether somewhere, from line to line, it is lighter, darker, lighter, darker."""
    rise = np.diff(luma, axis=0)
    rise[1::2] *= -1
    runs = np.lib.stride_tricks.sliding_window_view(rise, steps, axis=0)
    return bool(max(runs.min(axis=-1).max(), -runs.max(axis=-1).min()) > contrast)


def one_second_slots(count: int) -> Check:
    def check(path: Path) -> None:
        assert len(oracle.framemd5_fps1(path)) == count

    return check


def hdr(transfer: int) -> Check:
    return video(color_trc=transfer, color_primaries=BT2020, pix_fmt="yuv420p10le")


def key_frames(count: int) -> Check:
    def check(path: Path) -> None:
        assert sum(packet.is_keyframe for packet in packets(path)) == count

    return check


def leading_frames(path: Path) -> None:
    """Some frame is shown before the key frame that precedes it in the file."""
    key_pts = itertools.accumulate(
        (p.pts if p.is_keyframe else -1 for p in packets(path)), func=max
    )
    assert any(p.pts < key for p, key in zip(packets(path), key_pts, strict=True))


def b_frames_are_referenced(path: Path) -> None:
    """Some B-frames are needed by others, some are not."""
    unneeded = sum(_slice_is_unreferenced(bytes(packet)) for packet in packets(path))
    assert 0 < unneeded < kinds(path).count("B")


def _slice_is_unreferenced(packet: bytes) -> bool:
    """Whether the H.264 packet's first slice has nal_ref_idc 0; NAL units have a 4-byte length."""
    while packet[4] & 31 not in {1, 5}:
        packet = packet[4 + int.from_bytes(packet[:4], "big") :]
    return packet[4] >> 5 == 0


def layers_are_disposable(path: Path) -> None:
    """Some B-frames belong to a layer that may be left out, some do not."""
    disposable = sum(packet.is_disposable for packet in packets(path))
    assert 0 < disposable < kinds(path).count("B")


def packets_without_picture(path: Path) -> None:
    """There are VP8 packets whose show_frame bit is off."""
    assert len(frames(path)) == 60 < len(packets(path))
    assert sum(not bytes(packet)[0] & 0x10 for packet in packets(path)) == len(packets(path)) - 60


def superframes(path: Path) -> None:
    """There are VP9 packets that end in a superframe index."""
    assert any(bytes(packet)[-1] & 0xE0 == 0xC0 for packet in packets(path))


def sizes_change(path: Path) -> None:
    assert {(f.width, f.height) for f in frames(path)} == {(160, 96), (96, 160)}
