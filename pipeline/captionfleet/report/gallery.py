"""Collects the clips for the page: some with pictures, the others as text (main process)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captionfleet.ledger.files.reading import read_lines
from captionfleet.report.cards import TextBudget, card_of, text_card_of
from captionfleet.report.survey import Folder, Survey
from captionfleet.report.texts import Texts

__all__ = ["Gallery"]

_FAILURES_SHARE = 0.5  # share of the room for texts: captions come after the failures


@dataclass(frozen=True, slots=True)
class Gallery:
    """The clips that are shown; `captioned` holds number and line of those with media."""

    cards: list[dict[str, Any]]
    texts: Texts
    captioned: list[tuple[int, dict[str, Any]]]
    slowest: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Folder, survey: Survey, text_bytes: int) -> "Gallery":
        """Read the chosen lines, in file order. Blocks."""
        slow = [offset for _, offset in sorted(survey.slowest, reverse=True)]
        telling = survey.choice.offsets(slow)
        budget = TextBudget()
        cards: list[dict[str, Any]] = []
        lines: dict[int, tuple[int, dict[str, Any]]] = {}
        for offset, record in _at(folder.captions, sorted(telling)):
            lines[offset] = (len(cards), _light(record))
            card = card_of(record, survey.settings, budget)
            cards.append(card | {"flags": survey.footage.current(record, card["flags"])})
        failed = sorted(p.offset for sample in survey.failures.values() for p in sample.picks())
        cards += [card_of(record, {}, budget) for _, record in _at(folder.failures, failed)]
        texts = Texts(text_bytes)
        _take_others(texts, folder, survey, captioned=lines.keys(), failed=set(failed))
        captioned = [lines[offset] for offset in telling if offset in lines]
        return cls(cards, texts, captioned, [lines[at][1] for at in slow if at in lines])


def _take_others(
    texts: Texts,
    folder: Folder,
    survey: Survey,
    *,
    captioned: Collection[int],
    failed: Collection[int],
) -> None:
    """Add the clips without a card as text."""
    others = survey.captioned + survey.failed - len(captioned) - len(failed)
    if others:
        texts.take(_text_cards(folder.failures, survey, failed), _FAILURES_SHARE)
        texts.take(_text_cards(folder.captions, survey, captioned), 1.0)
        texts.left_out = max(0, others - texts.held)


def _text_cards(path: Path, survey: Survey, shown: Collection[int]) -> Iterator[dict[str, Any]]:
    for line in read_lines(path):
        if line.record and line.offset not in shown:
            card = text_card_of(line.record, survey.settings)
            yield card | {"flags": survey.footage.current(line.record, card["flags"])}


def _at(path: Path, offsets: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    for offset in offsets:
        line = next(read_lines(path, offset), None)
        if line is not None and line.record and line.offset == offset:
            yield offset, line.record


def _light(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "caption"}
