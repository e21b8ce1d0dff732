"""Turns an output line into the card that the page shows; pure (main process)."""

import re
from typing import Any

from captionfleet.ledger.files.reading import measure_in, number_in, table_in, text_in
from captionfleet.report.failed import detail_in
from captionfleet.report.flags import flags_of
from captionfleet.report.stages import stages_of

__all__ = ["TextBudget", "card_id", "card_of", "frame_times", "text_card_of"]

_MAX_NAME_CHARS, _MAX_WORD_CHARS, _MAX_ID_CHARS = 4096, 200, 32
_MAX_CAPTION_CHARS, _SHORT_CHARS = 2**21, 4000
_MAX_TEXT_CHARS = 20_000  # four times the text of 1,000 tokens
_MAX_TIMES = 600
_MEDIA = (
    "frames", "width", "height", "audio_s", "video_bytes", "audio_bytes", "source_width",
    "source_height", "crf", "padded_frames", "rotation_deg",
)  # fmt: skip
_DAMAGE = ("packets_lost", "coverage", "frozen_frames", "doubtful_frames")


class TextBudget:
    """Keeps captions whole until together they exceed the budget; then cuts long ones."""

    def __init__(self, max_chars: int = 2**23) -> None:
        self._left_chars = max_chars

    def fit(self, text: str) -> str:
        """As much of a text as is shown."""
        kept = text[:_MAX_CAPTION_CHARS]
        if len(kept) > self._left_chars:
            kept = kept[:_SHORT_CHARS]
        self._left_chars -= len(kept)
        return kept


def card_of(record: dict[str, Any], settings: dict[str, Any], budget: TextBudget) -> dict[str, Any]:
    """The data of a clip's card, captioned or failed; `settings` are those of [media]."""
    if "caption" not in record:
        return _any(record) | _failed(record)
    words = _captioned(record, settings, budget.fit(text_in(record, "caption")))
    return _any(record) | words | _facts(record)


def text_card_of(record: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The data of a card without pictures and facts."""
    if "caption" not in record:
        return _any(record) | _failed(record)
    caption = text_in(record, "caption")[:_MAX_TEXT_CHARS]
    sound = {"audio_bytes": number_in(table_in(record, "media"), "audio_bytes")}
    return _any(record) | _captioned(record, settings, caption) | {"media": sound}


def _any(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": card_id(record),
        "request": text_in(record, "request")[:_MAX_WORD_CHARS],
        "source": text_in(record, "source")[:_MAX_NAME_CHARS],
        "path": text_in(record, "path")[:_MAX_NAME_CHARS],
        "window": [number_in(record, "start_s"), number_in(record, "end_s")],
        "attempts": number_in(record, "attempts"),
    }


def _failed(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "code": text_in(record, "code")[:_MAX_WORD_CHARS] or "unknown",
        "detail": detail_in(record),
        "stage": text_in(record, "stage")[:_MAX_WORD_CHARS],
        "flags": [],
        "at": text_in(record, "failed_at_utc")[:_MAX_WORD_CHARS],
    }


def _captioned(record: dict[str, Any], settings: dict[str, Any], caption: str) -> dict[str, Any]:
    return {
        "caption": caption,
        "chars": len(text_in(record, "caption")),
        "flags": flags_of(record, settings),
        "film_s": number_in(table_in(record, "media"), "source_s"),
        "deployment": text_in(record, "deployment")[:_MAX_WORD_CHARS],
        "total_s": _rounded(number_in(table_in(record, "latency"), "total_s")),
        "at": text_in(record, "completed_at_utc")[:_MAX_WORD_CHARS],
    }


def _facts(record: dict[str, Any]) -> dict[str, Any]:
    media, usage = table_in(record, "media"), table_in(record, "usage")
    damage = table_in(media, "damage")
    tokens = ("prompt_tokens", "completion_tokens", "cached_tokens")
    return {
        "finish": text_in(record, "finish_reason")[:_MAX_WORD_CHARS],
        "tokens": [measure_in(usage, key) for key in tokens],
        "stages": [_rounded(value) for value in stages_of(record).values()],
        "media": {key: number_in(media, key) for key in _MEDIA}
        | {key: number_in(damage, key) for key in _DAMAGE}
        | {key: text_in(media, key)[:_MAX_WORD_CHARS] for key in ("source_codec", "sampling")},
    }


def card_id(record: dict[str, Any]) -> str:
    """The clip's id, if it is valid: it becomes part of an address."""
    clip_id = text_in(record, "clip_id")
    return clip_id if re.fullmatch(rf"[0-9a-f]{{1,{_MAX_ID_CHARS}}}", clip_id) else ""


def frame_times(record: dict[str, Any]) -> list[float]:
    """True times of the frames sent, in seconds."""
    found = table_in(record, "media").get("frame_times_s")
    times = found if isinstance(found, list) else []
    return [round(float(t), 3) for t in times[:_MAX_TIMES] if isinstance(t, int | float)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
