"""A line as the gallery shows it; pure (main process)."""

import re
from hashlib import blake2b
from typing import Any

from captionfleet.errors import FailureCode
from captionfleet.ledger.files.reading import measure_in, number_in, table_in, text_in
from captionfleet.report.flags import flags_of
from captionfleet.report.stages import stages_of

__all__ = ["TextBudget", "card_id", "card_of", "frame_times", "meaning_of"]

_MAX_NAME_CHARS, _MAX_WORD_CHARS, _MAX_ID_CHARS = 4096, 200, 32
_MAX_CAPTION_CHARS, _SHORT_CHARS = 2**21, 4000
_MAX_TIMES = 600
_MEDIA = (
    "frames", "width", "height", "audio_s", "video_bytes", "audio_bytes", "source_width",
    "source_height", "source_s", "crf", "padded_frames", "rotation_deg",
)  # fmt: skip
_DAMAGE = ("packets_lost", "coverage", "frozen_frames", "doubtful_frames")


class TextBudget:
    """Captions stay whole until together they are too many; from then on long ones are cut."""

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
    """What the page is told of a clip, captioned or failed; `settings` are those of [media]."""
    card = {
        "id": card_id(record),
        "film": _film(record),
        "source": text_in(record, "source")[:_MAX_NAME_CHARS],
        "window": [number_in(record, "start_s"), number_in(record, "end_s")],
        "attempts": number_in(record, "attempts"),
    }
    if "caption" not in record:
        return card | _failed(record)
    return card | _captioned(record, settings, budget)


def _film(record: dict[str, Any]) -> str:
    """What is the same for all windows of a film."""
    name = text_in(record, "path") or text_in(record, "source")
    return blake2b(name.encode("utf-8", "replace"), digest_size=6).hexdigest()


def _failed(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "code": text_in(record, "code")[:_MAX_WORD_CHARS] or "unknown",
        "detail": text_in(record, "detail")[:_MAX_NAME_CHARS],
        "stage": text_in(record, "stage")[:_MAX_WORD_CHARS],
        "path": text_in(record, "path")[:_MAX_NAME_CHARS],
        "flags": [],
        "at": text_in(record, "failed_at_utc")[:_MAX_WORD_CHARS],
    }


def _captioned(
    record: dict[str, Any], settings: dict[str, Any], budget: TextBudget
) -> dict[str, Any]:
    caption, media = text_in(record, "caption"), table_in(record, "media")
    usage, damage = table_in(record, "usage"), table_in(media, "damage")
    kept = budget.fit(caption)
    tokens = ("prompt_tokens", "completion_tokens", "cached_tokens")
    return {
        "caption": kept,
        "chars": len(caption),
        "flags": flags_of(record, settings),
        "deployment": text_in(record, "deployment")[:_MAX_WORD_CHARS],
        "model": text_in(record, "model")[:_MAX_WORD_CHARS],
        "finish": text_in(record, "finish_reason")[:_MAX_WORD_CHARS],
        "tokens": [measure_in(usage, key) for key in tokens],
        "stages": [_rounded(value) for value in stages_of(record).values()],
        "total_s": _rounded(number_in(table_in(record, "latency"), "total_s")),
        "media": {key: number_in(media, key) for key in _MEDIA}
        | {key: number_in(damage, key) for key in _DAMAGE}
        | {key: text_in(media, key)[:_MAX_WORD_CHARS] for key in ("source_codec", "sampling")},
        "at": text_in(record, "completed_at_utc")[:_MAX_WORD_CHARS],
    }


def card_id(record: dict[str, Any]) -> str:
    """The clip's id, if it is one: it becomes a part of an address."""
    clip_id = text_in(record, "clip_id")
    return clip_id if re.fullmatch(rf"[0-9a-f]{{1,{_MAX_ID_CHARS}}}", clip_id) else ""


def frame_times(record: dict[str, Any]) -> list[float]:
    """True times of the frames that were sent, in seconds."""
    told = table_in(record, "media").get("frame_times_s")
    times = told if isinstance(told, list) else []
    return [round(float(t), 3) for t in times[:_MAX_TIMES] if isinstance(t, int | float)]


def meaning_of(code: str) -> tuple[str, str]:
    """Whether a failure is final, and what its code means."""
    try:
        known = FailureCode(code)
    except ValueError:
        return "", "a code that this version does not know"
    return "permanent" if known.permanent else "tried again by the next run", known.meaning


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
