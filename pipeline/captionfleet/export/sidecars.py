"""Writes a text file for each clip, or a subtitle file for each film (main process)."""

import errno
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from captionfleet.config import ExportConfig
from captionfleet.errors import OutputError
from captionfleet.export.choice import Choice, Item
from captionfleet.export.cues import Cue, cues_of, srt, vtt
from captionfleet.export.naming import Naming
from captionfleet.export.owned import Register, Written
from captionfleet.export.wording import plain
from captionfleet.ledger.files.disk import create_folder, output_errors
from captionfleet.ledger.files.index import State
from captionfleet.ledger.files.reading import text_in

__all__ = ["write_sidecars"]

_NO_PLACE = frozenset({errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG})
_STALE = frozenset({State.CHANGED, State.GONE, State.REPLACED, None})
_IN_PLACE = frozenset({Written.WRITTEN, Written.SAME, Written.KEPT, Written.EDITED})


@dataclass(frozen=True, slots=True)
class _File:
    """A file to write: the clips whose captions are in it, its path and its content."""

    items: list[Item]
    path: str
    text: bytes


def write_sidecars(choice: Choice, export: ExportConfig, register: Register) -> Counter[Written]:
    """Write new files, and remove own files whose films changed or are gone, or with old names.

    Raises:
        OutputError: a folder cannot be written to.
    """
    counts: Counter[Written] = Counter()
    if export.out is not None:
        create_folder(export.out)
    naming = Naming(choice, export, register)
    is_text = export.to == "txt"
    files = _texts(choice, naming) if is_text else _subtitles(choice, export.to, naming)
    for file in files:
        made = _write(file, export, register)
        counts[made] += 1
        if made in _IN_PLACE:
            counts[Written.RENAMED] += _remove_former(file, naming, register)
    if not export.all:
        counts[Written.REMOVED] += _remove_stale(choice, register)
    return +counts


def _write(file: _File, export: ExportConfig, register: Register) -> Written:
    path, entry = file.path, file.items[0].entry
    if not path or "\0" in path:
        return Written.NO_PLACE
    try:
        if export.out is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        return register.write(path, file.text, entry.clip, entry.request, export.overwrite)
    except OSError as error:
        if error.errno in _NO_PLACE:  # a file where a folder should be, or a name too long
            return Written.NO_PLACE
        advice = "" if export.out else ": --out FOLDER writes them to another folder"
        where = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise OutputError(f"cannot write {where}: {error.strerror}{advice}") from None


def _remove_former(file: _File, naming: Naming, register: Register) -> int:
    """Remove files with the captions of this file under earlier names."""
    removed = 0
    for item in file.items:
        for path in naming.former(item, file.path):
            removed += register.remove(path)
    return removed


def _remove_stale(choice: Choice, register: Register) -> int:
    removed = 0
    for path, clip, request in register.files():
        state = choice.found.index.state_of(clip, request) if clip else State.CURRENT
        if state in _STALE:
            with output_errors(Path(os.fsdecode(path))):
                removed += register.remove(path)
    return removed


def _texts(choice: Choice, naming: Naming) -> Iterator[_File]:
    for item in choice.items_by_state():
        yield _File([item], naming.of_clip(item), plain(item.caption).encode() + b"\n")


def _subtitles(choice: Choice, to: str, naming: Naming) -> Iterator[_File]:
    words = srt if to == "srt" else vtt
    films = groupby(choice.items(by_film=True), lambda item: (item.film, item.entry.request))
    for _, windows in films:
        items = list(windows)
        cues = [cue for one in items for cue in _cues(choice, one)]
        cues.sort(key=lambda cue: (cue.start_s, cue.end_s))
        yield _File(items, naming.of_film(items[0]), words(cues).encode())


def _cues(choice: Choice, item: Item) -> Iterator[Cue]:
    """The cues of a window, each worded by itself: on one line, no time would begin one."""
    answer = text_in(item.record, "caption")
    for cue in cues_of(answer, item.entry.start_s, item.end_s):
        yield replace(cue, text=choice.worded(item.record, cue.text))
