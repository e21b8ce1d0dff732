"""Reads the length that a file states, which may be wrong (worker process)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import av

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["source_seconds", "tagged_seconds"]

_TAGGED_DURATION = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)")


def source_seconds(container: InputContainer, stream: VideoStream) -> float:
    """The length that the source states; 0.0 if it states none."""
    if container.duration is not None and container.duration > 0:
        return _from_start(container, container.duration / av.time_base)
    if stream.duration is not None and stream.time_base is not None:
        return max(0.0, float(stream.duration * stream.time_base))
    return 0.0


def tagged_seconds(container: InputContainer, stream: VideoStream) -> float:
    """The length of the pictures as Matroska's tag says; 0.0 without a credible tag.

    A header holds only the longest stream's length, which may be a subtitle's. A tag may be left
    from a longer film that a part was cut from, so it counts only up to the header's length.
    """
    found = _TAGGED_DURATION.fullmatch(stream.metadata.get("DURATION", ""))
    if found is None:
        return 0.0
    hours, minutes, seconds = (float(part) for part in found.groups())
    tagged_s = _from_start(container, hours * 3600 + minutes * 60 + seconds)
    header_s = source_seconds(container, stream)
    return min(tagged_s, header_s) if header_s else tagged_s


def _from_start(container: InputContainer, end_s: float) -> float:
    """The length of what ends at `end_s` on Matroska's clock, which may start late.

    FFmpeg stores the end time as the duration, other muxers the length; a duration shorter than the
    start must be a length.
    """
    start = cast("int | None", container.start_time)
    start_s = (start or 0) / av.time_base
    is_end = container.format.name == "matroska,webm" and 0 < start_s < end_s
    return end_s - start_s if is_end else end_s
