"""Derives flags that mark odd captions, such as truncated or damaged; pure (main process)."""

from typing import Any

from captionfleet.ledger.files.reading import flags_in, number_in, table_in

__all__ = ["MEANINGS", "flags_of", "is_flagged"]

_MAX_FLAGS, _MAX_FLAG_CHARS = 8, 40

MEANINGS = {
    "truncated": "the caption was cut off at max_tokens",
    "unknown_finish": "the server did not say why the caption ends: it may be cut off",
    "degenerate": "the caption repeats one phrase, also when it was asked for again",
    "refused": "the model or a filter refused: the text is the refusal, or what came before",
    "cut_to_window": "the film goes on after this clip, and the rest of it is not captioned",
    "damaged": "the source had lost packets, or frames of the window were missing",
    "reduced": "encoded smaller than the settings ask, to fit into a request",
    "retried": "more than one request was needed",
    "silent": "no sound was sent",
}
_HARMLESS = {"cut_to_window", "retried", "silent"}


def flags_of(line: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """The line's own flags, and those from its facts; `settings` are those of [media]."""
    flags = [flag[:_MAX_FLAG_CHARS] for flag in flags_in(line)[:_MAX_FLAGS]]
    media = table_in(line, "media")
    damage = table_in(media, "damage")
    if (number_in(damage, "packets_lost") or 0) > 0 or (number_in(damage, "coverage") or 1) < 1:
        flags.append("damaged")
    if _is_reduced(media, settings):
        flags.append("reduced")
    if (number_in(line, "attempts") or 1) > 1:
        flags.append("retried")
    if media.get("has_audio") is False:
        flags.append("silent")
    return list(dict.fromkeys(flags))


def is_flagged(flags: list[str]) -> bool:
    """Whether a flag calls for a look at the clip."""
    return not _HARMLESS.issuperset(flags)


def _is_reduced(media: dict[str, Any], settings: dict[str, Any]) -> bool:
    asked_px, sent_px = number_in(settings, "height"), number_in(media, "height")
    crf = number_in(media, "crf")
    is_lower = asked_px is not None and sent_px is not None and sent_px < asked_px
    return is_lower or (crf is not None and crf > _CRF)


_CRF = 23
