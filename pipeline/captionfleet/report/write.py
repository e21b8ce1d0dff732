"""Writes report.html of an output folder (main process)."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from anyio import to_thread

from captionfleet import text
from captionfleet.errors import ConfigError
from captionfleet.ledger.files.disk import replace_atomically
from captionfleet.ledger.files.names import REPORT
from captionfleet.ledger.stored_media import store_of
from captionfleet.messages import printable
from captionfleet.report.failed import meaning_of
from captionfleet.report.flags import MEANINGS
from captionfleet.report.gallery import Gallery
from captionfleet.report.over_time import over_time
from captionfleet.report.page import page_parts
from captionfleet.report.sheets import SheetLimits, Sheets, make_sheets
from captionfleet.report.stages import STAGES
from captionfleet.report.survey import Folder, Survey, open_folder, take_survey
from captionfleet.report.view import view_of

__all__ = ["Made", "write_report"]


@dataclass(frozen=True, slots=True)
class Made:
    """A written report: its path, and the number of lines that it shows.

    `of_all` is the number of all lines, for people.
    """

    path: Path
    shown: int
    clips: int
    of_all: str
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
    """Write report.html for an output folder, during or after a run.

    Args:
        folder: the output folder.
        out: the page; by default report.html in the folder.
        store: the media store; by default the one that the last run used.
        sample: number of captioned clips to show with pictures and facts; by default all of a small
            run, else a sample. The text of all others can be searched.
        limits: limits on pictures, sound and text.

    Raises:
        ConfigError: it is not an output folder, or cannot be read.
        OutputError: the page cannot be written.
    """
    limits = limits or SheetLimits()
    opened = await to_thread.run_sync(_open, folder)
    survey = await to_thread.run_sync(take_survey, opened, sample)
    gallery = await to_thread.run_sync(Gallery.read, opened, survey, limits.text_bytes)
    sheets = await make_sheets(gallery.captioned, store or store_of(opened.run), limits)
    path = out or folder / REPORT
    size_bytes = await to_thread.run_sync(partial(_write, path, opened, survey, gallery, sheets))
    return Made(
        path,
        len(gallery.cards) + gallery.texts.held,
        survey.captioned + survey.failed,
        survey.lines_in_words(survey.captioned + survey.failed),
        sheets.shown,
        size_bytes,
    )


def _open(folder: Path) -> Folder:
    opened = open_folder(folder)
    if not opened.run and not opened.captions.exists() and not opened.failures.exists():
        where = printable(os.fspath(folder))
        raise ConfigError(f"{where}: no captions.jsonl: is this an output folder?")
    return opened


def _write(path: Path, folder: Folder, survey: Survey, gallery: Gallery, sheets: Sheets) -> int:
    context = view_of(folder, survey, gallery.slowest) | {
        "folder": printable(os.fspath(folder.path.absolute().name)) or "captions",
        "time": over_time(folder.timeline),
        "gallery": {"lead": _lead(survey, gallery, sheets)},
        "made_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "version": version("captionfleet"),
    }
    meanings = {code: meaning_of(code)[1] for code in survey.codes} | MEANINGS
    data = {"stages": list(STAGES), "meanings": meanings, "cards": gallery.cards}
    replace_atomically(path, page_parts(context, data, gallery.texts.packed(), sheets.blocks))
    return path.stat().st_size


def _lead(survey: Survey, gallery: Gallery, sheets: Sheets) -> str:
    """The clips shown, the reason for the choice, and what is missing."""
    all_clips, texts = survey.captioned + survey.failed, gallery.texts
    in_words, with_media = survey.lines_in_words, "with the frames and the sound that were sent"
    said = [f"{in_words(len(gallery.cards))}, {with_media}."]
    if texts.held or texts.left_out:
        chosen = "a sample, the slowest, and what is flagged or failed"
        shown = in_words(len(gallery.cards))
        said = [f"{shown} of {text.count(all_clips)} {with_media}: {chosen}."]
    if texts.held:
        said.append(f"The text of {text.count(texts.held)} others is here as well.")
    if texts.left_out:
        said.append(f"{in_words(texts.left_out)} are left out to keep this page small.")
    if missing := len(gallery.captioned) - sheets.shown:
        said.append(f"Without pictures: {text.count(missing)}, each says why.")
    if survey.unreadable:
        said.append(f"Lines that are not records: {text.count(survey.unreadable)}, not counted.")
    if sheets.without_sound:
        said.append(f"Sound left out to keep this page small: {text.count(sheets.without_sound)}.")
    return " ".join(said)
