"""Encodes the sampled pictures as H.264 in an MP4 (worker process)."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType, VideoFrame

from captionfleet.messages import MediaSpec

__all__ = ["even_number", "write_mp4", "x264_options"]

_LEAST_FRAMES = 2
# Where frames are a second apart, a long lookahead, several references, fine motion search and a
# choice of transforms cost much and gain little. The offset of chroma is what x264 adds by itself
# with `fast`, but not where `subq` is this low: without it luma pays for what colours lose.
# `python -m benchmarks.bench_encoding` compares this with the presets.
_ONE_FPS = {
    "preset": "fast",
    "bf": "3",
    "rc-lookahead": "10",
    "refs": "1",
    "me_method": "dia",
    "subq": "2",
    "trellis": "1",
    "partitions": "i4x4+p8x8",
    "8x8dct": "0",
    "chromaoffset": "-2",
}
# The time saved is spent on quality, so that no film looks worse than with `fast`. A change here
# needs a new recipe number in the media store (workers/store).
_ONE_FPS_CRF = -0.5


def x264_options(preset: str, crf: int) -> dict[str, str]:
    """Options of libx264: tuned for one frame a second, or a preset of x264 unchanged.

    Args:
        preset: `one_fps`, or the name of a preset.
        crf: the rate factor on the scale of `fast`.
    """
    if preset != "one_fps":
        return {"preset": preset, "crf": str(crf)}
    return {**_ONE_FPS, "crf": str(crf + _ONE_FPS_CRF)}


def even_number(frames: int) -> int:
    """The number of frames to send for `frames` sampled ones: even, and at least two.

    Servers of the Qwen family take frames in pairs; some answer a single frame with HTTP 500.
    """
    return max(_LEAST_FRAMES, frames + frames % 2)


def write_mp4(path: Path, pictures: Sequence[VideoFrame], spec: MediaSpec, crf: int) -> None:
    """Encode yuv420p pictures of one size, one every 1/fps seconds from zero.

    The same pictures give the same bytes, except across CPUs: x264's AVX-512 code reads memory that
    it has not written, so a few decisions may differ.
    """
    with av.open(str(path), "w", format="mp4", container_options={"fflags": "+bitexact"}) as file:
        stream = file.add_stream(
            "libx264",
            rate=spec.fps,
            options=x264_options(spec.video_preset, crf),
        )
        context = stream.codec_context
        context.thread_count = 1
        context.width, context.height = pictures[0].width, pictures[0].height
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, spec.fps)
        context.color_range = pictures[0].color_range
        context.colorspace = pictures[0].colorspace
        context.color_primaries = pictures[0].color_primaries
        context.color_trc = pictures[0].color_trc
        for number, picture in enumerate(pictures):
            picture.pict_type = PictureType.NONE  # x264 obeys a source's picture type
            picture.pts = number
            picture.time_base = context.time_base
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
