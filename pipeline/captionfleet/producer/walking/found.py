"""Defines what a walk yields: usable files, and files that fail; pure (main process)."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from captionfleet.errors import FailureCode
from captionfleet.messages import NO_ROW, Row, Source
from captionfleet.producer.lists.rows import BadRow
from captionfleet.producer.windows import asked_window

__all__ = ["Found", "Unusable", "bad_row", "is_at_rest", "not_for_folders", "source_of", "unusable"]


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that a source names and that cannot be captioned."""

    source: Source
    code: FailureCode
    detail: str


Found = Source | Unusable


def bad_row(source: Path, row: BadRow, said: Row = NO_ROW) -> Unusable:
    """A failure for a row that names no clip of its own; the row alone identifies it.

    `said` holds the row's readable values.
    """
    path = os.fspath(source)
    own = Row(row.number, id=said.id, metadata=said.metadata)
    found = Source(path, source.name, -1, row.number, os.fspath(source.parent), path, own)
    return Unusable(found, FailureCode.BAD_ROW, row.reason)


def source_of(found: Found) -> Source:
    """The source of a result, whether it can be used or not."""
    return found.source if isinstance(found, Unusable) else found


def unusable(source: Source, error: OSError) -> Unusable:
    """The failure for an error on opening a named file."""
    is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    code = FailureCode.SOURCE_MISSING if is_missing else FailureCode.SOURCE_UNREADABLE
    return Unusable(source, code, error.strerror or type(error).__name__)


def not_for_folders(row: Row) -> str:
    """Refuse values of a row that only a film can have: a folder has no line of its own."""
    if row.prompt:
        return f"row {row.number}: a folder cannot have a prompt"
    has_window = asked_window(row, math.inf) is not None
    return f"row {row.number}: a folder cannot have start_s or end_s" if has_window else ""


def is_at_rest(source: Source) -> bool:
    """Whether the file is still as it was found."""
    try:
        facts = Path(source.path).stat()
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) == (source.size_bytes, source.mtime_ns)
