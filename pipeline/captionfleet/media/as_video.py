"""Writes a clip's frames as an MP4 that fits into a request (worker process)."""

from dataclasses import dataclass
from pathlib import Path

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.ladder import Rung, next_rung, video_budget_bytes
from captionfleet.media.picture.encode import write_mp4
from captionfleet.media.picture.picture import all_smaller
from captionfleet.media.picture.reel import Reel
from captionfleet.messages import MediaSpec, base64_bytes

__all__ = ["Written", "write_video"]


@dataclass(frozen=True, slots=True)
class Written:
    """What was written of a clip's frames; see `MediaFacts`."""

    frames: int
    padded: int
    width: int
    height: int
    times_s: tuple[float, ...]
    base64_bytes: int
    crf: int = 0
    jpeg_quality: int = 0
    frame_bytes: tuple[int, ...] = ()


def write_video(path: Path, reel: Reel, spec: MediaSpec, audio_bytes: int) -> Written:
    """Write the MP4 at the best settings at which the clip fits into a request.

    Raises:
        MediaError: the clip does not fit at any settings.
    """
    pictures, times_s = reel.padded()
    budget_bytes = video_budget_bytes(spec.max_payload_bytes, audio_bytes)
    first = rung = Rung(spec.crf, spec.height_px)
    scaled = pictures
    while True:
        write_mp4(path, scaled, spec, rung.crf)
        size_bytes = path.stat().st_size
        if size_bytes <= budget_bytes:
            break
        lower = next_rung(first, rung, size_bytes, budget_bytes)
        if lower is None:
            detail = f"{size_bytes} bytes of video at the least, {budget_bytes} are left for it"
            raise MediaError(FailureCode.PAYLOAD_TOO_LARGE, detail)
        if lower.height_px != rung.height_px:
            scaled = all_smaller(pictures, lower.height_px)
        rung = lower
    return Written(
        frames=len(pictures),
        padded=len(pictures) - reel.sampled,
        width=scaled[0].width,
        height=scaled[0].height,
        times_s=tuple(times_s),
        base64_bytes=base64_bytes(size_bytes),
        crf=rung.crf,
    )
