"""Samples a film's frames as a worker does, by plan or by decoding all, and hashes them."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest
from av.video.frame import VideoFrame

from captionfleet.media import take
from captionfleet.media.opening.container import choose_video, open_media
from captionfleet.media.opening.packets import PacketReader
from captionfleet.media.picture.picture import PictureMaker
from captionfleet.media.picture.reel import Reel
from captionfleet.media.sampling.fps_filter import FpsFilter
from captionfleet.media.sampling.full import FullSampler, Outputs, Sampler
from captionfleet.media.sampling.planned import Replay, make_sampler
from captionfleet.media.sampling.planned_decoder import PlannedDecoder
from captionfleet.messages import MediaSpec
from tests.support.preparing import clip_of

Mode = Literal["full", "exact", "fast"]
SPEC = MediaSpec()


@dataclass
class Sampled:
    """The frames of a film by slot, and what it took to get them.

    `replays` counts how often a plan was given up; `packets` are those of the file, `decoded`
    those that went into a decoder, again if they did again.
    """

    hashes: list[str] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    replays: int = 0
    packets: int = 0
    decoded: int = 0
    undecodable: int = 0

    def emit(self, frame: VideoFrame, time_s: float, slots: int) -> None:
        """Take a frame, as `Outputs.emit`."""
        self.hashes += [frame_hash(frame)] * slots
        self.times_s += [round(time_s, 6)] * slots

    def refuse(self, _: Any) -> None:
        """Take note of a packet, as `Outputs.undecodable`."""
        self.undecodable += 1

    @property
    def frames(self) -> list[tuple[float, str]]:
        """Time and hash of every slot's frame."""
        return list(zip(self.times_s, self.hashes, strict=True))


def sample(path: Path, mode: Mode, *, seconds: int = 60) -> Sampled:
    """Sample a film as a worker does, or without a plan."""
    done = Sampled()
    with (
        open_media(clip_of(path).source, SPEC.max_pixels) as container,
        ExitStack() as cleanup,
        _counting(done),
    ):
        stream = choose_video(container, SPEC.max_pixels)
        timing = take._timing(container, stream)
        fps_filter = FpsFilter(Fraction(stream.time_base or 1), seconds)
        outputs = Outputs(done.emit, done.refuse)
        sampler: Sampler
        if mode == "full":
            sampler = FullSampler(stream, fps_filter, outputs, timing)
        else:
            reel = Reel(PictureMaker(stream, SPEC.height_px))
            replay = _counted(take._replay(clip_of(path), SPEC, reel, cleanup), done)
            is_fast = mode == "fast"
            sampler = make_sampler(stream, fps_filter, outputs, timing, replay=replay, fast=is_fast)
        for packet in PacketReader(container, [stream]):
            done.packets += 1
            sampler.push(packet)
            if sampler.is_complete:
                break
        sampler.finish()
    return done


def _counted(replay: Replay, done: Sampled) -> Replay:
    def counted() -> Any:
        done.replays += 1
        return replay()

    return counted


@contextmanager
def _counting(done: Sampled) -> Iterator[None]:
    def counted(decode: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def count(self: Any, packet: Any) -> Any:
            done.decoded += packet is not None
            return decode(self, packet)

        return count

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((PlannedDecoder, "_frames"), (FullSampler, "_decode")):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        yield


def every_frame(path: Path) -> dict[float, str]:
    """The hash of every frame that decodes, by its time from the file's zero.

    Where a container stores no time of display, that is the DTS with which the frame came out.
    """
    with open_media(clip_of(path).source, SPEC.max_pixels) as container:
        stream = choose_video(container, SPEC.max_pixels)
        zero, tick_s = take._timing(container, stream).zero, stream.time_base or 1
        return {
            round(float((pts - zero) * tick_s), 6): frame_hash(frame)
            for packet in (*PacketReader(container, [stream]), None)
            for frame in stream.codec_context.decode(packet)
            if (pts := frame.dts if frame.pts is None else frame.pts) is not None
        }


def frame_hash(frame: VideoFrame) -> str:
    """The MD5 of a frame's visible samples, as ffmpeg's framemd5 has it."""
    digest = hashlib.md5(usedforsecurity=False)
    for number, plane in enumerate(frame.planes):
        components = [c for c in frame.format.components if c.plane == number]
        is_packed = len(frame.planes) == 1 and len(frame.format.components) > 1
        bits = frame.format.padded_bits_per_pixel if is_packed else components[0].bits
        width = plane.width * -(-bits // 8)
        data = memoryview(plane)
        for row in range(plane.height):
            digest.update(data[row * plane.line_size : row * plane.line_size + width])
    return digest.hexdigest()
