"""Writes a clip's frames as JPEGs that together fit into a request (worker process)."""

from pathlib import Path

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.as_video import Written
from captionfleet.media.ladder import JpegRung, next_jpeg_rung
from captionfleet.media.picture.jpeg import evenly_chosen, write_jpegs
from captionfleet.media.picture.picture import all_smaller
from captionfleet.media.picture.reel import Reel
from captionfleet.messages import MediaSpec, base64_bytes

__all__ = ["write_frames"]


def write_frames(path: Path, reel: Reel, spec: MediaSpec, audio_bytes: int) -> Written:
    """Write JPEGs at the best settings at which the clip fits into a request.

    No frame is repeated to make their number even: that is only for servers that decode a video.

    Raises:
        MediaError: the clip does not fit at any settings.
    """
    form = spec.form
    chosen = evenly_chosen(len(reel.pictures), form.max_frames)
    pictures = [reel.pictures[place] for place in chosen]
    whole_px = pictures[0].height
    room_bytes = spec.max_payload_bytes - base64_bytes(audio_bytes) - 1
    first = rung = JpegRung(form.jpeg_quality, min(form.frame_height_px or whole_px, whole_px))
    while True:
        scaled = pictures
        if rung.height_px != whole_px:
            scaled = all_smaller(pictures, rung.height_px)
        sizes_bytes = write_jpegs(path, scaled, rung.quality)
        payload_bytes = base64_bytes(*sizes_bytes)
        if payload_bytes <= room_bytes:
            break
        lower = next_jpeg_rung(first, rung, payload_bytes, room_bytes)
        if lower is None:
            detail = f"{payload_bytes} bytes of JPEGs at the least, {room_bytes} are left for them"
            raise MediaError(FailureCode.PAYLOAD_TOO_LARGE, detail)
        rung = lower
    return Written(
        frames=len(pictures),
        padded=0,
        width=scaled[0].width,
        height=scaled[0].height,
        times_s=tuple(reel.times_s[place] for place in chosen),
        base64_bytes=payload_bytes,
        jpeg_quality=rung.quality,
        frame_bytes=sizes_bytes,
    )
