"""Finds where the pictures of a film really end, as headers can be wrong (worker process)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av

from captionfleet.media.opening.container import has_no_timestamps, nominal_rate, start_ticks
from captionfleet.media.opening.packets import PacketReader

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["EndWatch", "film_end_s"]

_NEAR_END_S = 5.0
_HALVINGS = 16  # from two weeks to a few seconds
_UNKNOWN_S = 4e6  # a seek beyond any film ends at its end


def film_end_s(container: InputContainer, video: VideoStream, declared_s: float) -> float:
    """The end of the last picture, in seconds from the file's zero; 0.0 without pictures.

    It reads the few packets after a seek to the declared end. If there are none, the declared end
    is wrong, and the seek is tried half as far, and so on. It decodes nothing.
    """
    if has_no_timestamps(container):
        return _end_after(container, video, None)
    at_s = (declared_s or _UNKNOWN_S) - _NEAR_END_S
    for _ in range(_HALVINGS):
        if at_s <= _NEAR_END_S:
            break
        if (end_s := _end_after(container, video, at_s)) > 0:
            return end_s
        at_s /= 2
    return _end_after(container, video, 0.0)


def _end_after(container: InputContainer, video: VideoStream, at_s: float | None) -> float:
    """The end of the newest picture from an entry before `at_s` on; 0.0 without one."""
    try:
        if at_s is not None:
            container.seek((container.start_time or 0) + round(at_s * av.time_base))
    except av.FFmpegError:
        return 0.0
    watch = EndWatch(container, video)
    for packet in PacketReader(container, [video]):
        watch.see(packet)
    return watch.seconds


class EndWatch:
    """Tracks the end of the newest picture among the packets that it sees.

    It counts pictures if no packet has a time, as in raw streams.
    """

    def __init__(self, container: InputContainer, video: VideoStream) -> None:
        self._time_base = Fraction(video.time_base or 1)
        self._zero = start_ticks(container, self._time_base)
        self._rate = nominal_rate(video)
        self._newest: int | None = None
        self._pictures = 0

    def see(self, packet: Packet[VideoStream]) -> None:
        """Take the next packet."""
        self._pictures += packet.size > 0
        ticks = packet.pts if packet.pts is not None else packet.dts
        if ticks is not None:
            end = ticks + (packet.duration or 0)
            self._newest = end if self._newest is None else max(self._newest, end)

    @property
    def seconds(self) -> float:
        """From the file's zero; 0.0 where there was no picture."""
        if self._newest is not None:
            return float((self._newest - self._zero) * self._time_base)
        return float(self._pictures / self._rate) if self._rate else 0.0
