"""Decodes a film and finds its scene changes (worker process).

Pictures that no other refers to are not decoded, which saves half of the time; a change may be
found some hundredths of a second late.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.filter import Graph

from captionfleet.media.opening.container import has_no_timestamps, nominal_rate, start_ticks
from captionfleet.media.scenes.picking import ChangePicker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["SceneWatch"]

_SIDES = "64:36"  # a cut changes the whole picture; blurring hides small movements
_DIFFERENCE = "lavfi.scd.mafd"  # mean absolute difference to the frame before, 0 to 100
_USUAL_RATE = Fraction(25)
_LEAST_RATE = 15  # in slower films, every picture is compared


class SceneWatch:
    """Decodes the pictures of a film one after the other, and finds scene changes.

    Skips what cannot be decoded.
    """

    def __init__(self, container: InputContainer, video: VideoStream) -> None:
        self._video = video
        self._time_base = Fraction(video.time_base or 1)
        self._zero = start_ticks(container, self._time_base)
        self._rate = nominal_rate(video) or _USUAL_RATE
        self._picker = ChangePicker()
        self._compare: _Comparison | None = None
        self._shown = 0
        if not has_no_timestamps(container) and self._rate >= _LEAST_RATE:
            video.codec_context.skip_frame = "NONREF"

    def see(self, packet: Packet[VideoStream]) -> None:
        """Take the next packet."""
        for frame in self._frames(packet):
            self._look(frame)

    def finish(self) -> tuple[float, ...]:
        """The scene changes, in seconds from the file's zero."""
        for frame in self._frames(None):
            self._look(frame)
        self._picker.finish()
        return tuple(self._picker.changes_s)

    def _frames(self, packet: Packet[VideoStream] | None) -> Iterator[VideoFrame]:
        try:
            yield from self._video.codec_context.decode(packet)
        except av.FFmpegError:
            return

    def _look(self, frame: VideoFrame) -> None:
        ticks = frame.pts if frame.pts is not None else frame.dts
        at_s = float(self._shown / self._rate)
        if ticks is not None:
            at_s = float((ticks - self._zero) * self._time_base)
        self._shown += 1
        if self._compare is None or not self._compare.takes(frame):
            self._compare = _Comparison(frame, self._time_base)
        self._picker.see(at_s, self._compare.difference(frame))


class _Comparison:
    """Compares pictures of one size and format, each with its predecessor."""

    def __init__(self, frame: VideoFrame, time_base: Fraction) -> None:
        self._kind = _kind(frame)
        self._graph = graph = Graph()
        graph.threads = 1
        last = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        )
        chain = {"scale": f"{_SIDES}:flags=area", "format": "rgb24", "scdet": "", "buffersink": ""}
        for name, arguments in chain.items():
            following = graph.add(name, arguments or None)
            last.link_to(following)
            last = following
        graph.configure()

    def takes(self, frame: VideoFrame) -> bool:
        """Whether a frame has that size and format."""
        return _kind(frame) == self._kind

    def difference(self, frame: VideoFrame) -> float:
        """The difference of a picture to its predecessor; 0.0 for the first."""
        self._graph.push(frame)
        return float(self._graph.vpull().metadata.get(_DIFFERENCE, 0.0))


def _kind(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
