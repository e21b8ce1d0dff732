"""Decodes the frames to sample: all packets, or only those that the plan needs (worker process)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.workers.sampling import (
    BestEffortPts,
    FpsFilter,
    PacketPlanner,
    PlanBroken,
    Wanted,
    frame_duration,
)

__all__ = ["Emit", "FullSampler", "PlannedSampler", "Sampler", "Timing", "can_plan"]

Emit = Callable[[VideoFrame, float, int], None]
"""Takes a sampled frame, its true time in seconds, and how many slots show it."""

# Skipping is earned by a test that compares every frame with full decoding. The value says
# whether unwanted frames that no other frame refers to may be skipped inside the decoder.
_PLANNED = {"h264": True, "hevc": True, "vp8": True, "vp9": True}

# Muxers that lose B-frames' timestamps write PTS = DTS; it shows in the order of what comes out,
# so the first packets are decoded in full.
_PROBATION = 16


@dataclass(frozen=True, slots=True)
class Timing:
    """What a stream's timestamps mean, in its ticks.

    `zero` is the file's zero, `by_rate` one frame at the nominal rate or 0; `unreliable` says
    that the container stores no times, so that those seen are made up.
    """

    zero: int
    by_rate: int
    unreliable: bool


def can_plan(stream: VideoStream) -> bool:
    """Whether frames of this codec may be chosen before they are decoded."""
    return stream.codec_context.name in _PLANNED


class Sampler(Protocol):
    """Takes the packets of one video stream and emits the frames to sample, in order."""

    decode_errors: int

    @property
    def is_complete(self) -> bool:
        """Whether no further packet can matter."""

    def push(self, packet: Packet[VideoStream]) -> None:
        """Take the next packet in file order."""

    def finish(self) -> None:
        """End of stream, or of what is wanted of it."""


class FullSampler:
    """Decodes everything, and applies the fps filter to what comes out.

    Errors of single packets are counted; what still decodes is used.
    """

    def __init__(
        self, stream: VideoStream, fps_filter: FpsFilter, emit: Emit, timing: Timing
    ) -> None:
        self.decode_errors = 0
        self._context: VideoCodecContext = stream.codec_context
        self._time_base = Fraction(stream.time_base or 1)
        self._filter = fps_filter
        self._emit = emit
        self._timing = timing
        self._guess = BestEffortPts()
        self._last: VideoFrame | None = None
        self._last_pts = 0
        self._last_duration = 0

    @property
    def is_complete(self) -> bool:
        """Whether every slot has its frame."""
        return self._filter.is_complete

    def push(self, packet: Packet[VideoStream]) -> None:
        """Decode a packet."""
        self._take(self._decode(packet))

    def finish(self) -> None:
        """Drain the decoder and give the last frame its slots."""
        if not self.is_complete:
            self._take(self._decode(None))
        if self._last is not None:
            self._show(self._filter.finish(self._last_pts + self._last_duration))

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            return self._context.decode(packet)
        except EOFError:
            return []
        except MemoryError:  # says something of the worker, not of the file
            raise
        except av.FFmpegError:
            self.decode_errors += 1
            return []

    def _take(self, frames: Iterable[VideoFrame]) -> None:
        for frame in frames:
            pts = self._pts(frame)
            self._show(self._filter.push(pts))
            since = None if self._last is None else pts - self._last_pts
            self._last_duration = frame_duration(
                frame.duration or 0,
                since,
                self._timing.by_rate,
                unreliable=self._timing.unreliable,
            )
            self._last, self._last_pts = frame, pts

    def _pts(self, frame: VideoFrame) -> int:
        pts = self._guess.guess(frame.pts, frame.dts)
        if pts is not None:
            return pts - self._timing.zero
        return 0 if self._last is None else self._last_pts + self._last_duration

    def _show(self, slots: int) -> None:
        if slots and self._last is not None:
            self._emit(self._last, float(self._last_pts * self._time_base), slots)

    @property
    def last_frame(self) -> tuple[VideoFrame, float] | None:
        """The newest frame and its time, for clips too short to fill a slot."""
        if self._last is None:
            return None
        return self._last, float(self._last_pts * self._time_base)


class PlannedSampler:
    """Decodes only what the planner needs; raises PlanBroken whenever that is not certain."""

    def __init__(
        self, stream: VideoStream, planner: PacketPlanner, emit: Emit, timing: Timing
    ) -> None:
        self.decode_errors = 0
        self._context: VideoCodecContext = stream.codec_context
        self._time_base = Fraction(stream.time_base or 1)
        self._planner = planner
        self._emit = emit
        self._zero = timing.zero
        self._by_rate = timing.by_rate
        self._may_skip = _PLANNED[stream.codec_context.name]
        self._packets: list[Packet[VideoStream]] = []
        self._expected: list[Wanted] = []
        self._decoded: dict[int, VideoFrame] = {}
        self._last_duration = 0
        self._newest_pts: int | None = None
        self._newest_out: int | None = None
        self._fed = 0

    @property
    def is_complete(self) -> bool:
        """Whether every slot has its frame."""
        return self._planner.is_complete

    def push(self, packet: Packet[VideoStream]) -> None:
        """Hold a packet, and decode what has become certain.

        Raises:
            PlanBroken: the plan cannot be certain; decode everything instead.
        """
        if packet.is_corrupt or packet.pts is None:
            raise PlanBroken
        self._packets.append(packet)
        pts = packet.pts - self._zero
        if self._newest_pts is None or pts > self._newest_pts:
            self._newest_pts, self._last_duration = pts, packet.duration or 0
        self._pursue(
            self._planner.add(
                pts,
                None if packet.dts is None else packet.dts - self._zero,
                is_key=packet.is_keyframe,
                is_shown=not packet.is_discard,
            )
        )

    def finish(self) -> None:
        """Decode what is left; every wanted frame must have come out.

        Raises:
            PlanBroken: one did not.
        """
        if not self.is_complete:
            self._pursue(self._planner.finish(self._last_duration, self._by_rate))
        self._drain()
        if self._expected:
            raise PlanBroken

    def _pursue(self, wanted: list[Wanted]) -> None:
        self._expected += wanted
        for one in wanted:
            step = self._planner.next_step(one)
            if step is None:
                continue
            if step.restart:
                self._drain()
                self._context.flush_buffers()
            self._feed(self._packets[step.drop : step.drop + len(step.skippable)], step.skippable)
            del self._packets[: step.drop + len(step.skippable)]
        self._match()

    def _feed(self, packets: list[Packet[VideoStream]], skippable: tuple[bool, ...]) -> None:
        for packet, may_skip in zip(packets, skippable, strict=True):
            is_trusted = self._may_skip and self._fed >= _PROBATION
            self._context.skip_frame = "NONREF" if may_skip and is_trusted else "DEFAULT"
            self._fed += 1
            self._decode(packet)

    def _drain(self) -> None:
        self._decode(None)
        self._match()

    def _decode(self, packet: Packet[VideoStream] | None) -> None:
        try:
            frames = self._context.decode(packet)
        except EOFError:
            return
        except MemoryError:  # says something of the worker, not of the file
            raise
        except av.FFmpegError:
            raise PlanBroken from None
        for frame in frames:
            if frame.pts is None or frame.is_corrupt:
                raise PlanBroken
            pts = frame.pts - self._zero
            if self._newest_out is not None and pts <= self._newest_out:
                raise PlanBroken
            self._newest_out = pts
            if not self._is_unwanted(pts):
                self._decoded[pts] = frame

    def _is_unwanted(self, pts: int) -> bool:
        return pts < self._planner.settled_pts and all(w.pts != pts for w in self._expected)

    def _match(self) -> None:
        """Emit in order what has arrived; let go of what is now known to be unwanted."""
        while self._expected and self._expected[0].pts in self._decoded:
            wanted = self._expected.pop(0)
            frame = self._decoded.pop(wanted.pts)
            self._emit(frame, float(wanted.pts * self._time_base), wanted.slots)
        for pts in [known for known in self._decoded if self._is_unwanted(known)]:
            del self._decoded[pts]
