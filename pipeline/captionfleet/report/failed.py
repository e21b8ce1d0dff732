"""Formats failures for the page, without repetitions; pure (main process)."""

from collections.abc import Iterable
from typing import Any

from captionfleet import text
from captionfleet.errors import FailureCode
from captionfleet.ledger.files.reading import text_in

__all__ = ["by_detail", "detail_in", "meaning_of"]

_MAX_DETAIL_CHARS = 4096


def meaning_of(code: str) -> tuple[str, str]:
    """Whether a failure is permanent, and what its code means."""
    try:
        known = FailureCode(code)
    except ValueError:
        return "", "a code that this version does not know"
    return "permanent" if known.permanent else "tried again by the next run", known.meaning


def detail_in(record: dict[str, Any]) -> str:
    """A failures line's detail; empty if it only repeats the meaning of its code."""
    detail = text_in(record, "detail")[:_MAX_DETAIL_CHARS]
    _, meaning = meaning_of(text_in(record, "code"))
    return detail if text.adds_to(meaning, detail) else ""


def by_detail(records: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Failures lines grouped by their details."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        found.setdefault(detail_in(record), []).append(record)
    return found
