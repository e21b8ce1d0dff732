"""Reads facts of a video stream that its frames do not carry (worker process).

Containers store some facts beside the coded pictures (Matroska's PixelCrop, MP4's `clap` and
`dvcC`), which libav returns as side data of the stream, for which PyAV has no attribute. They are
parsed from libav's own description of the file, which saves a second reader for each container.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import av
import av.logging

from captionfleet.media.facts.geometry import Crop

if TYPE_CHECKING:
    from av.video.stream import VideoStream

__all__ = ["StreamFacts", "facts_in", "facts_of"]

_CROP = re.compile(r"^ +Frame Cropping: (\d{1,9})/(\d{1,9})/(\d{1,9})/(\d{1,9})$", re.MULTILINE)
_DOLBY_VISION = re.compile(r"^ +DOVI configuration record: .*?, profile: (\d+),", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What the container says of a stream's pictures.

    Attributes:
        crop: the borders that are not shown, before any turn.
        dolby_vision_profile: None where the pictures are not Dolby Vision.
    """

    crop: Crop
    dolby_vision_profile: int | None


def facts_of(stream: VideoStream) -> StreamFacts:
    """Read the facts of a stream of an open file."""
    return facts_in(_description(stream), stream.index)


def facts_in(description: str, stream_index: int) -> StreamFacts:
    """Find a stream's facts in the output of av_dump_format.

    A file's metadata are part of the description and may imitate it; the last mention, which is
    libav's own, counts.
    """
    head = re.compile(rf"^  Stream #0:{stream_index}(?=[:\[(])", re.MULTILINE)
    _, *found = head.split(description, maxsplit=1)
    ours = found[0].partition("\n  Stream #")[0] if found else ""
    crop, profile = _CROP.findall(ours)[-1:], _DOLBY_VISION.findall(ours)[-1:]
    return StreamFacts(
        Crop(*map(int, crop[0])) if crop else Crop(),
        int(profile[0]) if profile else None,
    )


def _description(stream: VideoStream) -> str:
    """The file's description by libav; no decoder runs then, so no log callback can deadlock."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        container = cast("Any", stream.container)  # PyAV's stubs leave the method out
        return str(container.dumps_format())
    finally:
        av.logging.set_level(level)
