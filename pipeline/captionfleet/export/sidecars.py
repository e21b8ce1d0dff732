"""Writes a text file for each clip, or a subtitle file for each film (main process)."""

import errno
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from captionfleet.config import ExportConfig
from captionfleet.errors import OutputError
from captionfleet.export.choice import Choice, Item
from captionfleet.export.cues import Cue, cues_of, srt, vtt
from captionfleet.export.owned import Register, Written
from captionfleet.export.plain import plain
from captionfleet.ledger.files.disk import create_folder, output_errors
from captionfleet.ledger.files.index import State
from captionfleet.ledger.files.reading import text_in

__all__ = ["write_sidecars"]

_NO_PLACE = frozenset({errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG})
_STALE = frozenset({State.CHANGED, State.GONE, State.REPLACED, None})


def write_sidecars(choice: Choice, export: ExportConfig, register: Register) -> Counter[Written]:
    """Write new files, and remove own files whose films changed or are gone.

    Raises:
        OutputError: a folder cannot be written to.
    """
    counts: Counter[Written] = Counter()
    if export.out is not None:
        create_folder(export.out)
    make = _texts if export.to == "txt" else _subtitles
    for item, path, text in make(choice, export, register):
        if not path or "\0" in path:
            counts[Written.NO_PLACE] += 1
            continue
        clip, request = item.entry.clip, item.entry.request
        try:
            if export.out is not None:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            made = register.write(path, text, clip, request, export.overwrite)
        except OSError as error:
            if error.errno in _NO_PLACE:  # a file where a folder should be, or a name too long
                counts[Written.NO_PLACE] += 1
                continue
            advice = "" if export.out else ": --out FOLDER writes them to another folder"
            where = os.fsencode(path).decode("utf-8", "backslashreplace")
            raise OutputError(f"cannot write {where}: {error.strerror}{advice}") from None
        counts[made] += 1
    if not export.all:
        counts[Written.REMOVED] += _remove_stale(choice, register)
    return +counts


def _remove_stale(choice: Choice, register: Register) -> int:
    removed = 0
    for path, clip, request in register.files():
        state = choice.found.index.state_of(clip, request) if clip else State.CURRENT
        if state in _STALE:
            with output_errors(Path(os.fsdecode(path))):
                removed += register.remove(path)
    return removed


def _texts(
    choice: Choice, export: ExportConfig, register: Register
) -> Iterator[tuple[Item, str, bytes]]:
    for item in choice.items():
        base = _base(item, export)
        if base is None:
            yield item, "", b""
            continue
        stem = os.path.splitext(base)[0]  # noqa: PTH122 - bytes in names
        middle = f".{_word(item.entry.request)}" if item.entry.request else ""
        if choice.windows(item) > 1:
            middle += f".{_seconds(item.entry.start_s)}-{_seconds(item.end_s)}"
        path = f"{stem}{middle}{export.extension}"
        if not _is_free(choice, register, path, item):
            path = f"{base}{middle}{export.extension}"  # beach.mov beside beach.mp4
        yield item, path, plain(item.caption).encode() + b"\n"


def _subtitles(
    choice: Choice, export: ExportConfig, register: Register
) -> Iterator[tuple[Item, str, bytes]]:
    words = srt if export.to == "srt" else vtt
    films = groupby(choice.items(by_film=True), lambda item: (item.film, item.entry.request))
    for _, windows in films:
        items = list(windows)
        item = items[0]
        cues = [cue for one in items for cue in _cues(choice, one)]
        cues.sort(key=lambda cue: (cue.start_s, cue.end_s))
        base = _base(item, export)
        if base is None:
            yield item, "", b""
            continue
        middle = f".{_word(item.entry.request)}" if item.entry.request else ""
        path = f"{os.path.splitext(base)[0]}{middle}.{export.to}"  # noqa: PTH122 - as above
        if not _is_free(choice, register, path, item):
            path = f"{base}{middle}.{export.to}"
        yield item, path, words(cues).encode()


def _cues(choice: Choice, item: Item) -> Iterator[Cue]:
    """The cues of a window, each worded by itself: on one line, no time would begin one."""
    answer = text_in(item.record, "caption")
    for cue in cues_of(answer, item.entry.start_s, item.end_s):
        yield replace(cue, text=choice.worded(item.record, cue.text))


def _is_free(choice: Choice, register: Register, path: str, item: Item) -> bool:
    """Whether no current clip of another film has this name."""
    owner = register.owner(path)
    if owner is None or owner[0] in {b"", item.entry.clip}:
        return True
    films = choice.found.index.film_of(*owner)
    return films is None or films in {b"", item.entry.path}


def _base(item: Item, export: ExportConfig) -> str | None:
    """The film's path, or its path in the target folder; names cannot lead outside that."""
    if export.out is None:
        return item.film or None
    parts = [part for part in (item.name or item.film).split("/") if part not in {"", "."}]
    safe = ["__" if part == ".." else part for part in parts if "\0" not in part]
    return os.path.join(os.path.abspath(export.out), *safe) if safe else None  # noqa: PTH100, PTH118 - as above


def _word(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "_" for char in name)[:64]


def _seconds(value: float) -> str:
    return f"{value:05.0f}s" if value == int(value) else f"{value:09.3f}s"
