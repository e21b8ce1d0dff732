"""Adds colour labels that the container has and the frame lacks (worker process)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["ContainerLabels"]

# PyAV's names of them on frames and codec contexts, each with its value for unknown: 2 in H.273, 0
# in libav for the range.
_UNKNOWN = {"colorspace": 2, "color_range": 0, "color_trc": 2, "color_primaries": 2}


class ContainerLabels:
    """The colour labels that only the container has (Matroska's Colour, MP4's `colr` and `vpcC`).

    Must be created before decoding starts, which replaces the stream's labels by the bitstream's.
    If the first picture carries a label, it is the bitstream's own, and a later picture without it
    is left as it is.
    """

    def __init__(self, stream: VideoStream) -> None:
        context = stream.codec_context
        self._known = {name: int(getattr(context, name)) for name in _UNKNOWN}
        self._is_first = True

    def complete(self, frame: VideoFrame) -> None:
        """Add the labels that a frame lacks."""
        lacking = {name for name in self._known if getattr(frame, name) == _UNKNOWN[name]}
        if self._is_first:
            self._is_first = False
            self._known = {name: self._known[name] for name in lacking}
        for name in lacking:
            setattr(frame, name, self._known[name])
