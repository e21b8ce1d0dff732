"""Builds the media parts of a request: JSON around holes for base64; pure (main process).

A server takes a clip's pictures as one `video_url`, or each as an `image_url`; its sound as an
`audio_url` (vLLM, SGLang, Fireworks) or as OpenAI's `input_audio`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import orjson

from captionfleet.messages import Form, MediaFacts

__all__ = ["Hole", "Piece", "media_pieces", "media_values", "time_text"]

_MARK = "@"  # a placeholder for base64 that cannot occur elsewhere in a part
_AUDIO_TYPES = {"ogg": "audio/ogg", "wav": "audio/wav", "mp3": "audio/mpeg"}


@dataclass(frozen=True, slots=True)
class Hole:
    """A gap for the base64 of a span of one of the two media files."""

    medium: Literal["video", "audio"]
    offset: int
    size_bytes: int


Piece = bytes | Hole
"""Literal JSON, or a gap that is filled from a file."""


def media_pieces(
    form: Form, facts: MediaFacts, *, with_audio: bool, from_s: float | None = None
) -> list[Piece]:
    """The media parts of one clip, separated by commas.

    Args:
        form: How the server takes the media.
        facts: The sizes of the media.
        with_audio: Whether sound is sent.
        from_s: The source time from which frame times count; None leaves frame times out.
    """
    pieces: list[Piece] = []
    for part, hole in _parts(form, facts, with_audio=with_audio, from_s=from_s):
        head, _, tail = orjson.dumps(part).partition(_MARK.encode())
        pieces += [b"," + head if pieces else head, *([] if hole is None else [hole]), tail]
    return pieces


def media_values(form: Form, pictures: Sequence[str], sound: str | None) -> list[dict[str, Any]]:
    """The same parts as values, for media that are base64 already; without frame times."""
    name = _image if form.video_as == "frames" else _video
    parts = [name(base64) for base64 in pictures]
    return parts if sound is None else [*parts, _audio(form, sound)]


def time_text(seconds: float) -> str:
    """The time of a frame as text, as Qwen3-VL's own processor writes it before frames.

    `processing_qwen3_vl.py` of transformers 5 (2026-11): "<0.5 seconds>".
    """
    return f"<{max(seconds, 0.0):.1f} seconds>"


def _parts(
    form: Form, facts: MediaFacts, *, with_audio: bool, from_s: float | None
) -> Iterator[tuple[dict[str, Any], Hole | None]]:
    if form.video_as == "frames":
        yield from _frames(facts, from_s)
    else:
        yield _video(_MARK), Hole("video", 0, facts.video_bytes)
    if with_audio:
        yield _audio(form, _MARK), Hole("audio", 0, facts.audio_bytes)


def _frames(
    facts: MediaFacts, from_s: float | None
) -> Iterator[tuple[dict[str, Any], Hole | None]]:
    offset = 0
    times_s = facts.frame_times_s[: len(facts.frame_bytes)]
    for size_bytes, time_s in zip_longest(facts.frame_bytes, times_s):
        if from_s is not None and time_s is not None:
            yield {"type": "text", "text": time_text(time_s - from_s)}, None
        yield _image(_MARK), Hole("video", offset, size_bytes)
        offset += size_bytes


def _video(base64: str) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{base64}"}}


def _image(base64: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64}"}}


def _audio(form: Form, base64: str) -> dict[str, Any]:
    if form.audio_as == "input_audio":
        sound = {"data": base64, "format": form.audio_format}
        return {"type": "input_audio", "input_audio": sound}
    url = f"data:{_AUDIO_TYPES[form.audio_format]};base64,{base64}"
    return {"type": "audio_url", "audio_url": {"url": url}}
