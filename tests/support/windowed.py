"""Samples one window of a film as a worker does, and hashes its frames."""

import os
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

from captionfleet.media import take
from captionfleet.media.header import read_header
from captionfleet.media.opening.approach import open_window
from captionfleet.media.orders import HeaderOrder
from captionfleet.media.picture.picture import PictureMaker
from captionfleet.media.picture.reel import Reel
from captionfleet.media.sampling.fps_filter import FpsFilter
from captionfleet.media.sampling.full import Outputs
from captionfleet.media.sampling.planned import make_sampler
from captionfleet.messages import UNKNOWN_FILM, Clip, Film
from tests.support import oracle
from tests.support.preparing import clip_of
from tests.support.sampled import SPEC, Sampled


def window_of(path: Path, start_s: float, end_s: float, film: Film = UNKNOWN_FILM) -> Clip:
    """The clip of a window."""
    clip = clip_of(path, clip_id=f"{start_s}")
    return replace(clip, start_s=start_s, end_s=end_s, film=film)


def measured(path: Path, reading: Literal["header", "end", "whole"] = "whole") -> Film:
    """What a worker finds out of a whole film."""
    order = HeaderOrder(clip_of(path).source, SPEC.max_pixels, 10, 2**30, reading)
    header = read_header(order)
    return Film(header.seconds, header.is_joined)


def scenes_of(path: Path) -> list[float]:
    """Where a worker finds that the scenes of a film change."""
    order = HeaderOrder(clip_of(path).source, SPEC.max_pixels, 10, 2**30, "scenes")
    return list(read_header(order).scene_changes_s)


def sample_window(
    path: Path, start_s: float, end_s: float, *, fast: bool = False, film: Film = UNKNOWN_FILM
) -> Sampled:
    """The frames of a window; their times count from its start."""
    clip, done = window_of(path, start_s, end_s, film), Sampled()
    with ExitStack() as cleanup:
        opened = cleanup.enter_context(open_window(clip, SPEC.max_pixels))
        stream = opened.video
        slots = round(end_s - start_s)
        fps_filter = FpsFilter(Fraction(stream.time_base or 1), slots, is_trimmed=start_s > 0)
        reel = Reel(PictureMaker(stream, SPEC.height_px))
        sampler = make_sampler(
            stream,
            fps_filter,
            Outputs(done.emit, done.refuse),
            take._timing(opened.container, stream, start_s),
            replay=take._replay(clip, SPEC, reel, cleanup),
            fast=fast,
        )
        for packet in opened.held:
            if packet.stream_index == stream.index:
                done.packets += 1
                sampler.push(packet)
            if sampler.is_complete:
                break
        sampler.finish()
        first = sampler.first_slot or 0
        done.hashes[:0] = done.hashes[:1] * first
        done.times_s[:0] = done.times_s[:1] * first
    return done


def ffmpeg_window(path: Path, start_s: float, end_s: float, *, sound: bool = False) -> list[str]:
    """What the fps filter gives of the whole film from `start_s` on, by another FFmpeg.

    With `sound`, that is read as well, and part of what one clock is made of.
    """
    options = f"-vf fps=1:start_time={start_s} -frames:v {round(end_s - start_s)}"
    if sound:
        heard = ("-map", "0:a", "-f", "null", os.devnull)
        out = oracle.ffmpeg(
            "-noautorotate", "-i", path, "-map", "0:v", *options.split(), "-f", "framemd5", "-",
            *heard,
        )  # fmt: skip
        rows = [line.split(",") for line in out.decode().splitlines() if line[:1] == "0"]
        return [row[5].strip() for row in rows]
    hashes = oracle._framemd5(path, options, autorotate=False, pix_fmt=None)
    return [digest for _, digest in hashes]
