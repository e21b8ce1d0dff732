"""Encodes the sampled pictures as JPEGs, concatenated in one file (worker process)."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from av import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from captionfleet.media.ladder import qscale_of

__all__ = ["evenly_chosen", "write_jpegs"]

_LAMBDA_PER_QSCALE = 118  # FF_QP2LAMBDA of libavutil


def evenly_chosen(count: int, most: int | None) -> list[int]:
    """The places of at most `most` of `count` frames, evenly spread, first and last included."""
    if most is None or count <= most:
        return list(range(count))
    if most == 1:
        return [count // 2]
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def write_jpegs(path: Path, pictures: Sequence[VideoFrame], quality: int) -> tuple[int, ...]:
    """Write pictures of one size as baseline JPEGs; return the size of each in bytes.

    Converts colours to JFIF's full-range BT.601 from any matrix. A repeated picture is encoded
    once.
    """
    encoder = _encoder(pictures[0], quality)
    made: dict[int, bytes] = {}
    sizes: list[int] = []
    with path.open("wb") as file:
        for number, picture in enumerate(pictures):
            if id(picture) not in made:  # repeats follow each other
                made = {id(picture): _encoded(encoder, picture, number)}
            sizes.append(file.write(made[id(picture)]))
    return tuple(sizes)


def _encoder(first: VideoFrame, quality: int) -> VideoCodecContext:
    qscale = qscale_of(quality)
    encoder = CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)  # noqa: S101 - of pictures
    encoder.width, encoder.height, encoder.pix_fmt = first.width, first.height, "yuvj420p"
    encoder.time_base = Fraction(1)
    encoder.sample_aspect_ratio = Fraction(1)  # without one there is no JFIF header
    encoder.thread_count = 1
    encoder.options = {
        "flags": "+qscale+bitexact",
        "global_quality": str(_LAMBDA_PER_QSCALE * qscale),
        "qmin": str(qscale),
        "qmax": str(qscale),
    }
    return encoder


def _encoded(encoder: VideoCodecContext, picture: VideoFrame, number: int) -> bytes:
    whole = picture.reformat(
        format="yuvj420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    whole.pict_type = PictureType.NONE
    whole.pts, whole.time_base = number, encoder.time_base
    return b"".join(bytes(packet) for packet in encoder.encode(whole))
