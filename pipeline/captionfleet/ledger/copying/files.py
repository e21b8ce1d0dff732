"""Names the files of an output folder to copy, and takes consistent snapshots (main process)."""

import errno
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import anyio.to_thread

from captionfleet.errors import OutputError
from captionfleet.ledger.copying.deciding import Known, Lines, known_from
from captionfleet.ledger.files.disk import after_last_newline, followed, replace_atomically
from captionfleet.ledger.files.names import (
    ADOPTED,
    CAPTIONS,
    COPY,
    FAILURES,
    FILMS,
    LEFT_ON,
    MERGE,
    PRUNED,
    REPORT,
    REQUESTS,
    RUN,
    RUNS,
    SAME,
    TIMELINE,
)
from captionfleet.ledger.files.reading import record_of, table_in, text_in
from captionfleet.ledger.format.serialising import document
from captionfleet.messages import printable
from captionfleet.system.regular_file import open_regular

__all__ = [
    "FOLDERS",
    "IN_ORDER",
    "OTHERS",
    "Marks",
    "Stamp",
    "chunks_of",
    "is_copied",
    "lines_in",
    "load_marks",
    "opened",
    "save_marks",
    "size_of",
]

# In the order of copying: the requests before the captions that refer to them, and the captions
# before the failures, because a failure is removed once its clip has a caption.
IN_ORDER = (REQUESTS, FILMS, SAME, ADOPTED, CAPTIONS, FAILURES)
OTHERS = (PRUNED, MERGE, TIMELINE, RUN, REPORT)
FOLDERS = (RUNS, LEFT_ON)
_IN_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.json")
_CHUNK_BYTES = 1 << 20
_MOST_MARKS_BYTES = 1 << 26

Stamp = tuple[int, int]
"""Size and change time; a file with another stamp has changed."""


@dataclass(frozen=True, slots=True)
class Marks:
    """An output folder's own records: its id, and what it knows of each copy, by address."""

    folder: str = ""
    copies: Mapping[str, Known] = field(default_factory=dict)


def is_copied(name: str) -> bool:
    """Whether a file of this name is copied."""
    folder, _, inner = name.rpartition("/")
    is_inside = folder in FOLDERS and _IN_FOLDER.fullmatch(inner) is not None
    return name in IN_ORDER or name in OTHERS or is_inside


def lines_in(folder: Path) -> Lines:
    """The lines that a folder holds. Blocks.

    Raises:
        OutputError: that cannot be known now.
    """
    return Lines(size_of(folder / CAPTIONS), has_failures=size_of(folder / FAILURES) > 0)


def size_of(path: Path) -> int:
    """The size of a file; 0 if it is missing. Blocks.

    Raises:
        OutputError: that cannot be known now.
    """
    with _reading(path):
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0


def opened(path: Path) -> tuple[BinaryIO, int, Stamp]:
    """Open a file for a copy of its present state; return it, the bytes to copy, and its stamp.

    Of a JSONL file, which may be growing, only whole lines are copied. Blocks.

    Raises:
        OSError: it is gone, or cannot be read.
    """
    # The file may be a symbolic link that its owner made, to a larger disk: read through it.
    file = os.fdopen(open_regular(followed(path)), "rb")
    try:
        facts = os.fstat(file.fileno())
        is_lines = path.suffix == ".jsonl"
        end = after_last_newline(file.fileno(), facts.st_size) if is_lines else facts.st_size
    except BaseException:
        file.close()
        raise
    return file, end, (facts.st_size, facts.st_mtime_ns)


async def chunks_of(file: BinaryIO, end: int) -> AsyncIterator[bytes]:
    """The first `end` bytes of an open file; another process may replace it meanwhile.

    Raises:
        OSError: it became shorter.
    """
    at = 0
    while at < end:
        length = min(_CHUNK_BYTES, end - at)
        chunk = await anyio.to_thread.run_sync(os.pread, file.fileno(), length, at)
        if not chunk:
            raise OSError(errno.EIO, "it became shorter while it was copied")
        at += len(chunk)
        yield chunk


def load_marks(folder: Path) -> Marks:
    """Read the folder's records of its copies; empty if they are missing or invalid. Blocks.

    Raises:
        OutputError: they cannot be read now.
    """
    with _reading(folder / COPY):
        try:
            with (folder / COPY).open("rb") as file:
                record: dict[str, Any] = record_of(file.read(_MOST_MARKS_BYTES))
        except FileNotFoundError:
            record = {}
    copies = {where: known_from(one) for where, one in table_in(record, "copies").items()}
    return Marks(text_in(record, "folder"), copies)


def save_marks(folder: Path, marks: Marks) -> None:
    """Replace the folder's records of its copies. Blocks.

    Raises:
        OutputError: it cannot be written.
    """
    copies = {where: known.as_dict() for where, known in marks.copies.items()}
    text = document({"folder": marks.folder, "copies": copies})
    replace_atomically(folder / COPY, iter([text]))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    # A file that cannot be read now is not missing: what it holds must not be replaced.
    try:
        yield
    except OSError as error:
        where = printable(os.fspath(path))
        raise OutputError(f"cannot read {where}: {error.strerror or error}") from error
