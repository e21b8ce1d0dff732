"""Makes the report of an output folder (main process)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anyio import to_thread

from captionfleet import text
from captionfleet.errors import ConfigError
from captionfleet.ledger.files.disk import replace_atomically
from captionfleet.ledger.files.reading import read_lines
from captionfleet.ledger.stored_media import store_of
from captionfleet.messages import printable
from captionfleet.report.cards import TextBudget, card_of, meaning_of
from captionfleet.report.flags import MEANINGS
from captionfleet.report.over_time import over_time
from captionfleet.report.page import page_parts
from captionfleet.report.sheets import SheetLimits, Sheets, make_sheets
from captionfleet.report.stages import STAGES
from captionfleet.report.survey import Folder, Survey, open_folder, take_survey
from captionfleet.report.view import view_of

__all__ = ["Made", "write_report"]


@dataclass(frozen=True, slots=True)
class Made:
    """A report that was written: where, and how many clips of how many it shows."""

    path: Path
    shown: int
    clips: int
    with_pictures: int
    size_bytes: int


async def write_report(
    folder: Path,
    *,
    out: Path | None = None,
    store: Path | None = None,
    sample: int | None = None,
    limits: SheetLimits | None = None,
) -> Made:
    """Write report.html for what lies in an output folder, finished or not.

    Args:
        folder: the output folder.
        out: the page; by default report.html in the folder.
        store: the media store; by default the one that the last run used.
        sample: how many captioned clips to show; by default all of a small run, else some.
        limits: what pictures and sound may take.

    Raises:
        ConfigError: it is no output folder, or cannot be read.
        OutputError: the page cannot be written.
    """
    opened = await to_thread.run_sync(_open, folder)
    survey = await to_thread.run_sync(take_survey, opened, sample)
    gallery = await to_thread.run_sync(_Gallery.read, opened, survey)
    sheets = await make_sheets(
        gallery.captioned, store or store_of(opened.run), limits or SheetLimits()
    )
    path = out or folder / "report.html"
    size_bytes = await to_thread.run_sync(partial(_write, path, opened, survey, gallery, sheets))
    return Made(
        path,
        len(gallery.cards),
        survey.captioned + survey.failed,
        sheets.shown,
        size_bytes,
    )


def _open(folder: Path) -> Folder:
    opened = open_folder(folder)
    if not opened.run and not opened.captions.exists() and not opened.failures.exists():
        where = printable(os.fspath(folder))
        raise ConfigError(f"{where}: no captions.jsonl: is this an output folder?")
    return opened


@dataclass(frozen=True, slots=True)
class _Gallery:
    """The clips that are shown; `captioned` holds number and line of those with media."""

    cards: list[dict[str, Any]]
    captioned: list[tuple[int, dict[str, Any]]]
    slowest: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Folder, survey: Survey) -> "_Gallery":
        """Read the chosen lines, in the order in which they were written. Blocks."""
        slow = [offset for _, offset in sorted(survey.slowest, reverse=True)]
        telling = survey.choice.offsets(slow)
        budget = TextBudget()
        cards: list[dict[str, Any]] = []
        lines: dict[int, tuple[int, dict[str, Any]]] = {}
        for offset, record in _at(folder.captions, sorted(telling)):
            lines[offset] = (len(cards), _light(record))
            cards.append(card_of(record, survey.settings, budget))
        failed = sorted(p.offset for sample in survey.failures.values() for p in sample.picks())
        cards += [card_of(record, {}, budget) for _, record in _at(folder.failures, failed)]
        captioned = [lines[offset] for offset in telling if offset in lines]
        return cls(cards, captioned, [lines[at][1] for at in slow if at in lines])


def _at(path: Path, offsets: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    for offset in offsets:
        line = next(read_lines(path, offset), None)
        if line is not None and line.record and line.offset == offset:
            yield offset, line.record


def _light(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "caption"}


def _write(path: Path, folder: Folder, survey: Survey, gallery: _Gallery, sheets: Sheets) -> int:
    context = view_of(folder, survey, gallery.slowest) | {
        "folder": printable(os.fspath(folder.path.absolute().name)) or "captions",
        "time": over_time(folder.timeline),
        "gallery": {"lead": _lead(survey, gallery, sheets)},
        "made_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "version": version("captionfleet"),
    }
    meanings = {code: meaning_of(code)[1] for code in survey.codes} | MEANINGS
    data = {"stages": list(STAGES), "meanings": meanings, "cards": gallery.cards}
    replace_atomically(path, page_parts(context, data, sheets.blocks))
    return path.stat().st_size


def _lead(survey: Survey, gallery: _Gallery, sheets: Sheets) -> str:
    shown, all_clips = len(gallery.cards), survey.captioned + survey.failed
    said = f"{text.count(shown)} of {text.count(all_clips)} clips"
    if left_out := all_clips - shown:
        flagged_out = max(0, survey.flagged - survey.choice.max_flagged)
        said += ": a sample, the slowest, and what is flagged or failed; "
        said += f"{text.count(left_out)} are not shown"
        said += f", {text.count(flagged_out)} flagged ones among them" if flagged_out else ""
    said += (
        ". The pictures are the frames that were sent, decoded from the very bytes; "
        "the sound is the file that was sent."
    )
    if missing := len(gallery.captioned) - sheets.shown:
        said += f" Without pictures: {text.count(missing)}, each says why."
    if survey.unreadable:
        said += f" Lines that are no record: {text.count(survey.unreadable)}, not counted."
    if left_out := sheets.without_sound:
        said += f" Sound left out to keep this page small: {text.count(left_out)}."
    return said
