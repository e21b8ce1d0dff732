"""Samples frames by decoding everything, as the reference for planned decoding (worker process)."""

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

from captionfleet.media.damage.unanswered import Unanswered
from captionfleet.media.sampling.fps_filter import BestEffortPts, FpsFilter, frame_duration

__all__ = ["FullSampler", "Outputs", "Sampler", "Timing"]


@dataclass(frozen=True, slots=True)
class Outputs:
    """Callbacks for a sampler's results.

    Attributes:
        emit: takes a sampled frame, its true time in seconds, and how many slots it fills.
        undecodable: takes a packet that gave an error instead of a frame, None for the drain.
    """

    emit: Callable[[VideoFrame, float, int], None]
    undecodable: Callable[[Packet[VideoStream] | None], None]


@dataclass(frozen=True, slots=True)
class Timing:
    """How to interpret a stream's timestamps; in its ticks.

    `zero` is the start of the window, `begin` its distance from the file's zero; `by_rate` is one
    frame at the nominal rate or 0; `unreliable` means that the container stores no times, so that
    libav made them up.
    """

    zero: int
    by_rate: int
    unreliable: bool
    begin: int = 0


class Sampler(Protocol):
    """Takes the packets of one video stream and emits the frames to sample, in order."""

    @property
    def is_complete(self) -> bool:
        """Whether no further packet can matter."""

    @property
    def first_slot(self) -> int | None:
        """The slot of the first frame, None before there is one."""

    @property
    def last_frame(self) -> tuple[VideoFrame, float] | None:
        """The newest frame and its time, for clips too short to fill a slot."""

    def push(self, packet: Packet[VideoStream]) -> None:
        """Take the next packet in file order."""

    def finish(self) -> None:
        """End the stream, or the wanted part of it."""


class FullSampler:
    """Decodes everything, and applies the fps filter to the frames.

    Reports errors of single packets, and uses every frame that decodes.
    """

    def __init__(
        self, stream: VideoStream, fps_filter: FpsFilter, outputs: Outputs, timing: Timing
    ) -> None:
        self._context: VideoCodecContext = stream.codec_context
        self._time_base = Fraction(stream.time_base or 1)
        self._filter = fps_filter
        self._outputs = outputs
        self._timing = timing
        self._guess = BestEffortPts()
        self._unanswered = Unanswered(self._context.name)
        self._last: VideoFrame | None = None
        self._last_pts = 0
        self._last_duration = 0

    @property
    def is_complete(self) -> bool:
        """Whether every slot has its frame."""
        return self._filter.is_complete

    @property
    def first_slot(self) -> int | None:
        """The slot of the first frame, None before there is one."""
        return self._filter.first_slot

    def push(self, packet: Packet[VideoStream]) -> None:
        """Decode a packet; ignore an empty one, which would end decoding."""
        if packet.size:
            self._take(self._decode(packet))

    def finish(self) -> None:
        """Drain the decoder and let the last frame fill its slots."""
        if not self.is_complete:
            self._take(self._decode(None))
        if self._last is not None:
            self._show(self._filter.finish(self._last_pts + self._last_duration))

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            frames = self._context.decode(packet)
        except EOFError:
            return []
        except MemoryError:  # a fault of the worker, not of the file
            raise
        except av.FFmpegError:
            self._outputs.undecodable(packet)
            return []
        self._miss(packet, frames)
        return frames

    def _miss(self, packet: Packet[VideoStream] | None, frames: Iterable[VideoFrame]) -> None:
        """Report packets whose frames can no longer come."""
        lost = [] if packet is None else self._unanswered.sent(packet)
        for frame in frames:
            lost += self._unanswered.came_out(frame.pts)
        if packet is None:
            lost += self._unanswered.drained()
        for one in lost:
            self._outputs.undecodable(one)

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
        pts = None
        if not self._timing.unreliable:
            pts = self._guess.guess(frame.pts, frame.dts)
        if pts is not None:
            return pts - self._timing.zero
        return -self._timing.begin if self._last is None else self._last_pts + self._last_duration

    def _show(self, slots: int) -> None:
        if slots and self._last is not None:
            self._outputs.emit(self._last, float(self._last_pts * self._time_base), slots)

    @property
    def last_frame(self) -> tuple[VideoFrame, float] | None:
        """The newest frame and its time, for clips too short to fill a slot."""
        if self._last is None:
            return None
        return self._last, float(self._last_pts * self._time_base)
