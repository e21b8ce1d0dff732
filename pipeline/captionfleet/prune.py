"""The `captionfleet prune` command: removes captions of gone or changed films (main process)."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from captionfleet.ledger.files.disk import AppendFile
from captionfleet.ledger.files.index import Entry, State
from captionfleet.ledger.files.lock import FolderLock
from captionfleet.ledger.files.names import CAPTIONS, PRUNED
from captionfleet.ledger.files.reading import ended, raw_lines
from captionfleet.messages import for_terminal, printable
from captionfleet.producer.current import FoundLines, find_lines

__all__ = ["prune_command"]

_PRUNED = frozenset({State.GONE, State.CHANGED, State.REPLACED})
_SHOWN = 20


def prune_command(folder: Path, *, yes: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Show the lines of captions.jsonl whose film is gone or changed; with --yes remove them.

    Lines move to pruned.jsonl; to restore one, append it to captions.jsonl. Two kinds of lines
    stay: those of a folder that is empty, or in which no captioned film is left, as its disk may be
    unmounted, and those whose film may have the same bytes under another name or time (identity =
    "content").

    Args:
        folder: Output folder of a run; no run may be writing to it.
        yes: Remove the lines; otherwise only show them.
    """
    if not yes:
        with find_lines(folder) as found:
            print(_shown(found, found.index.counts()))
        return 0
    lock = FolderLock(folder)
    try:
        with find_lines(folder) as found:
            counts = found.index.counts()
            print(_shown(found, counts))
            if _number(counts):
                _prune(folder, found)
                print(f"{_number(counts):,} lines taken out; they are in pruned.jsonl")
    finally:
        lock.release()
    return 0


def _number(counts: dict[State, int]) -> int:
    return sum(counts.get(state, 0) for state in _PRUNED)


def _shown(found: FoundLines, counts: dict[State, int]) -> str:
    lines = [
        f"{counts[state]:>9,} {state.meaning}: {'out' if state in _PRUNED else 'stay'}"
        for state in State
        if counts.get(state)
    ]
    if found.unreadable:
        lines.append(f"{found.unreadable:>9,} that are not records: stay")
    shown = islice(found.index.entries(_PRUNED), _SHOWN)
    lines += [f"{entry.state.name.lower():<9} {_film(entry)}" for entry in shown]
    if (more := _number(counts) - _SHOWN) > 0:
        lines.append(f"and {more:,} more")
    return "\n".join([*lines, _advice(counts)])


def _film(entry: Entry) -> str:
    named = f" [{printable(entry.request)}]" if entry.request else ""
    return for_terminal((printable(os.fsdecode(entry.path)) or entry.clip.hex()) + named)


def _advice(counts: dict[State, int]) -> str:
    number = _number(counts)
    return f"{number:,} lines to take out (--yes does it)" if number else "nothing to take out"


def _prune(folder: Path, found: FoundLines) -> None:
    """Save the pruned lines durably before captions.jsonl is replaced."""
    pruned = AppendFile(folder / PRUNED)
    try:
        for line in _lines(found, is_pruned=True):
            pruned.append(ended(line))
        pruned.sync()
    finally:
        pruned.close()
    captions = AppendFile(folder / CAPTIONS)
    try:
        captions.rewrite(_lines(found, is_pruned=False))
    finally:
        captions.close()


def _lines(found: FoundLines, *, is_pruned: bool) -> Iterator[bytes]:
    """The lines to prune, or all others, which include those that hold no record."""
    entries = found.index.entries(_PRUNED)
    next_at = next(entries, None)
    for at, line in raw_lines(found.path):
        is_next = next_at is not None and next_at.at == at
        if is_next:
            next_at = next(entries, None)
        if is_next == is_pruned:
            yield line
