"""State that comes with some packets only, and times that packets lack, survive the plan."""

import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from captionfleet.standin.films.film import write_film
from tests.support import oracle
from tests.support.made import make
from tests.support.odd_films import MUTE
from tests.support.sampled import sample

FILM = replace(MUTE, seconds=3.0, fps=Fraction(5))
PALETTE = "split[a][b];[a]palettegen=max_colors=32[p];[b][p]paletteuse"


def converted(folder: Path, name: str, *options: str) -> Path:
    source = write_film(folder / "source.mkv", replace(FILM, codec="ffv1"))
    oracle.ffmpeg("-i", source, *options, folder / name)
    return folder / name


@pytest.mark.parametrize("ending", [".avi", ".mov"])
@pytest.mark.parametrize("pix_fmt", ["pal8", "monob", "gray"])
def test_a_palette_of_the_first_packet_colours_every_frame(
    tmp_path: Path, pix_fmt: str, ending: str
) -> None:
    """Uncompressed films whose palette is stored once, and one-bit ones, look as to ffmpeg."""
    coloured = ("-vf", PALETTE) if pix_fmt == "pal8" else ()
    raw = ("-c:v", "rawvideo", "-pix_fmt", pix_fmt)
    path = converted(tmp_path, f"film{ending}", *coloured, *raw)
    made = make(path, tmp_path)
    theirs = oracle.gray_fps1(path, made.facts.width, made.facts.height)
    assert len(theirs) == 3
    for seen, expected in zip(made.grays(), theirs, strict=False):
        assert np.abs(seen.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.avi", ("-c:v", "libx264", "-bf", "0")),
        ("h264_b.avi", ("-c:v", "libx264", "-bf", "2")),
        ("mpeg4_b.avi", ("-c:v", "mpeg4", "-bf", "2")),
        ("h264.h264", ("-c:v", "libx264", "-bf", "2")),
        ("mpeg2.m2v", ("-r", "25", "-c:v", "mpeg2video", "-bf", "2")),
        ("mpeg1.m1v", ("-r", "25", "-c:v", "mpeg1video", "-bf", "0")),
    ],
)
def test_packets_without_times_give_the_frames_of_ffmpeg(
    tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    """AVI and elementary streams store no PTS; none is made up that puts frames elsewhere."""
    path = converted(tmp_path, name, "-pix_fmt", "yuv420p", *options)
    exact = sample(path, "exact")
    assert exact.hashes == [digest for _, digest in oracle.framemd5_fps1(path)]
    assert exact.frames == sample(path, "full").frames


@pytest.mark.parametrize("orientation", [1, 2, 6])
def test_jpegs_with_exif_are_set_upright(tmp_path: Path, orientation: int) -> None:
    """A camera's orientation is followed; side data that PyAV has no name for harm nothing."""
    plain = converted(tmp_path, "plain.mkv", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p")
    path = _with_exif(plain, tmp_path / "exif.mkv", orientation)
    made = make(path, tmp_path)
    theirs = oracle.gray_fps1(path, made.facts.width, made.facts.height)
    assert (made.facts.width < made.facts.height) == (orientation == 6)
    for seen, expected in zip(made.grays(), theirs, strict=False):
        assert np.abs(seen.astype(int) - expected).mean() < 4


def test_jpegs_whose_tables_come_once_look_as_with_all_of_them(tmp_path: Path) -> None:
    """Frames that rely on the tables of the first are decoded after it."""
    same_tables = ("-q:v", "9", "-huffman", "default")
    path = converted(tmp_path, "a.mkv", "-c:v", "mjpeg", *same_tables, "-pix_fmt", "yuvj420p")
    bare = _rewritten(path, tmp_path / "bare.mkv", _without_tables)
    assert sample(bare, "exact").frames == sample(path, "full").frames


def _without_tables(number: int, jpeg: bytes) -> bytes:
    at, kept = 2, jpeg[:2]
    while number and jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        kept += b"" if jpeg[at + 1] in {0xDB, 0xC4} else jpeg[at:end]
        at = end
    return kept + jpeg[at:]


def _with_exif(plain: Path, to: Path, orientation: int) -> Path:
    tags = (
        b"Exif\0\0II*\0\x08\0\0\0\x01\0"
        + struct.pack("<HHII", 0x112, 3, 1, orientation)
        + b"\0" * 4
    )
    exif = struct.pack(">HH", 0xFFE1, len(tags) + 2) + tags
    return _rewritten(plain, to, lambda _, jpeg: jpeg[:2] + exif + jpeg[2:])


def _rewritten(plain: Path, to: Path, change: Callable[[int, bytes], bytes]) -> Path:
    with av.open(plain) as source, av.open(to, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = (packet for packet in source.demux(video=0) if packet.size)
        for number, packet in enumerate(packets):
            changed = av.Packet(change(number, bytes(packet)))
            changed.pts, changed.dts = packet.pts, packet.dts
            changed.time_base, changed.stream = packet.time_base, stream
            changed.is_keyframe = True
            target.mux(changed)
    return to
