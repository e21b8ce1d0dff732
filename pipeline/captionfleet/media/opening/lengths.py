"""How long a file says that it is, which nothing has to be true of (worker process)."""

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
    """How long the source claims to be; 0.0 where it claims nothing."""
    if container.duration is not None and container.duration > 0:
        return _from_start(container, container.duration / av.time_base)
    if stream.duration is not None and stream.time_base is not None:
        return max(0.0, float(stream.duration * stream.time_base))
    return 0.0


def tagged_seconds(container: InputContainer, stream: VideoStream) -> float:
    """How long the pictures are as a tag of Matroska has it; 0.0 where there is none to believe.

    A header knows the longest stream alone, which may be a subtitle. A tag may have come along
    with a part that was cut out of a longer film, so it is not believed beyond the header.
    """
    found = _TAGGED_DURATION.fullmatch(stream.metadata.get("DURATION", ""))
    if found is None:
        return 0.0
    hours, minutes, seconds = (float(part) for part in found.groups())
    tagged_s = _from_start(container, hours * 3600 + minutes * 60 + seconds)
    header_s = source_seconds(container, stream)
    return min(tagged_s, header_s) if header_s else tagged_s


def _from_start(container: InputContainer, end_s: float) -> float:
    """The length of what ends at `end_s` of Matroska's clock, which may start late.

    FFmpeg stores the end as the duration, others the length: one shorter than the start is that.
    """
    start = cast("int | None", container.start_time)
    start_s = (start or 0) / av.time_base
    is_end = container.format.name == "matroska,webm" and 0 < start_s < end_s
    return end_s - start_s if is_end else end_s
