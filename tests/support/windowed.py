"""Samples one window of a film as a worker does, and hashes its frames."""

from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from captionfleet.media import take
from captionfleet.media.opening.approach import open_window
from captionfleet.media.picture.picture import PictureMaker
from captionfleet.media.picture.reel import Reel
from captionfleet.media.sampling.fps_filter import FpsFilter
from captionfleet.media.sampling.full import Outputs
from captionfleet.media.sampling.planned import make_sampler
from captionfleet.messages import Clip
from tests.support import oracle
from tests.support.preparing import clip_of
from tests.support.sampled import SPEC, Sampled


def window_of(path: Path, start_s: float, end_s: float) -> Clip:
    """The clip of a window."""
    return replace(clip_of(path, clip_id=f"{start_s}"), start_s=start_s, end_s=end_s)


def sample_window(path: Path, start_s: float, end_s: float, *, fast: bool = False) -> Sampled:
    """The frames of a window; their times count from its start."""
    clip, done = window_of(path, start_s, end_s), Sampled()
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


def ffmpeg_window(path: Path, start_s: float, end_s: float) -> list[str]:
    """What the fps filter gives of the whole film from `start_s` on, by another FFmpeg."""
    options = f"-vf fps=1:start_time={start_s} -frames:v {round(end_s - start_s)}"
    hashes = oracle._framemd5(path, options, autorotate=False, pix_fmt=None)
    return [digest for _, digest in hashes]
