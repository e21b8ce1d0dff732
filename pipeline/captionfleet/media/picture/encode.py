"""Writes the sampled pictures as H.264 in an MP4 (worker process)."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType, VideoFrame

from captionfleet.messages import MediaSpec

__all__ = ["even_number", "write_mp4"]

_LEAST_FRAMES = 2


def even_number(frames: int) -> int:
    """How many frames to send for so many sampled: even, and at least two.

    Servers of the Qwen family take frames in pairs; a lone frame is an HTTP 500 for some.
    """
    return max(_LEAST_FRAMES, frames + frames % 2)


def write_mp4(path: Path, pictures: Sequence[VideoFrame], spec: MediaSpec, crf: int) -> None:
    """Encode yuv420p pictures of one size, one every 1/fps seconds from zero.

    The same pictures give the same bytes, but not on every CPU: x264's AVX-512 code reads memory
    that it has not written, so a few decisions may differ.
    """
    with av.open(str(path), "w", format="mp4", container_options={"fflags": "+bitexact"}) as file:
        stream = file.add_stream(
            "libx264",
            rate=spec.fps,
            options={"preset": spec.video_preset, "crf": str(crf)},
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
            picture.pict_type = PictureType.NONE  # the source's is an order to x264
            picture.pts = number
            picture.time_base = context.time_base
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
