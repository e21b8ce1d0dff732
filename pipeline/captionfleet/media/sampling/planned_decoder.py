"""Decodes the planned packets, and checks that exactly the expected frames come out (worker)."""

from __future__ import annotations

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from captionfleet.media.codecs.packet_kind import PlanBroken
from captionfleet.media.sampling.full import Outputs, Timing
from captionfleet.media.sampling.planning import Wanted

__all__ = ["PlannedDecoder"]

_MOST_DECODED_FRAMES = 32  # frames waiting to be wanted; no valid stream reorders more
_MOST_LEADING_ERRORS = 1000


class PlannedDecoder:
    """Emits the expected frames in order, as soon as they come out.

    Raises PlanBroken if one is missing, late or ambiguous.
    """

    def __init__(self, stream: VideoStream, outputs: Outputs, timing: Timing) -> None:
        self.first_pts: int | None = None
        self.slots_done = 0
        self._context: VideoCodecContext = stream.codec_context
        self._time_base = stream.time_base or 1
        self._outputs = outputs
        self._zero = timing.zero
        self._expected: list[Wanted] = []
        self._decoded: dict[int, VideoFrame] = {}
        self._undecodable: list[Packet[VideoStream]] = []  # before anything came out
        self._settled_pts = float("-inf")
        self._newest_pts: int | None = None

    def expect(self, wanted: list[Wanted], settled_pts: float) -> None:
        """Add frames that are wanted; below `settled_pts` no further one will be."""
        self._expected += wanted
        self._settled_pts = settled_pts

    def decode(self, packet: Packet[VideoStream] | None) -> None:
        """Decode a packet, or drain with None."""
        for frame in self._frames(packet):
            self._take(frame)
        if len(self._decoded) > _MOST_DECODED_FRAMES:
            raise PlanBroken

    def restart(self, pts: int) -> None:
        """Flush the drained decoder; every wanted frame before `pts` must have come out."""
        if self._expected and self._expected[0].pts < pts:
            raise PlanBroken
        self._context.flush_buffers()

    def finish(self) -> None:
        """Check that everything wanted has come out, and at least one frame."""
        if self._expected or not self.slots_done:
            raise PlanBroken

    def let_go(self) -> None:
        """Free memory; the decoder is not used again."""
        self._decoded.clear()
        self._undecodable.clear()
        self._context.flush_buffers()

    def emit(self) -> int:
        """Emit in order what has arrived; drop unwanted frames; return the slots filled."""
        if not self._decoded:
            return 0
        before = self.slots_done
        while self._expected and self._expected[0].pts in self._decoded:
            wanted = self._expected.pop(0)
            frame = self._decoded.pop(wanted.pts)
            self._outputs.emit(frame, float(wanted.pts * self._time_base), wanted.slots)
            self.slots_done += wanted.slots
        for pts in [known for known in self._decoded if self._is_unwanted(known)]:
            del self._decoded[pts]
        return self.slots_done - before

    def _frames(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            return self._context.decode(packet)
        except EOFError:
            return []
        except MemoryError:  # a fault of the worker, not of the file
            raise
        except av.FFmpegError:
            self._forgive(packet)
            return []

    def _forgive(self, packet: Packet[VideoStream] | None) -> None:
        """A file cut from a longer one may start with packets that refer to missing ones."""
        is_leading = self.first_pts is None and packet is not None
        if packet is None or not is_leading or len(self._undecodable) >= _MOST_LEADING_ERRORS:
            raise PlanBroken from None
        self._undecodable.append(packet)

    def _take(self, frame: VideoFrame) -> None:
        if frame.pts is None or frame.is_corrupt:
            raise PlanBroken
        pts = frame.pts - self._zero
        if self.first_pts is None:
            self._begin(pts)
        if self._newest_pts is not None and pts <= self._newest_pts:
            raise PlanBroken
        if any(one.pts < pts and one.pts not in self._decoded for one in self._expected):
            raise PlanBroken  # it will never come out
        self._newest_pts = pts
        if not self._is_unwanted(pts):
            self._decoded[pts] = frame

    def _begin(self, pts: int) -> None:
        self.first_pts = pts
        for packet in self._undecodable:
            self._outputs.undecodable(packet)
        self._undecodable.clear()

    def _is_unwanted(self, pts: int) -> bool:
        return pts < self._settled_pts and all(one.pts != pts for one in self._expected)
