"""Selects the files of an output folder to copy, and takes consistent snapshots (main process)."""

import errno
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import anyio.to_thread

from captionfleet.ledger.copying.deciding import Known, known_from
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
from captionfleet.ledger.files.reading import read_object, table_in, text_in
from captionfleet.ledger.format.serialising import document
from captionfleet.system.regular_file import open_regular, require_folder

__all__ = [
    "Marks",
    "Stamp",
    "chunks_of",
    "has_lines",
    "is_copied",
    "load_marks",
    "opened",
    "save_marks",
    "stamps_of",
]

# In the order of copying: the requests before the captions that refer to them, and the captions
# before the failures, because a failure is removed once its clip has a caption.
_FIRST = (
    *(REQUESTS, FILMS, SAME, ADOPTED, CAPTIONS, FAILURES),
    *(PRUNED, MERGE, TIMELINE, RUN, REPORT),
)
_FOLDERS = (RUNS, LEFT_ON)
_IN_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.json")
_CHUNK_BYTES = 1 << 20

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
    return name in _FIRST or (folder in _FOLDERS and _IN_FOLDER.fullmatch(inner) is not None)


def has_lines(folder: Path) -> bool:
    """Whether a folder holds captions or failures. Blocks."""
    return any(_size(folder / name) for name in (CAPTIONS, FAILURES))


def stamps_of(folder: Path) -> dict[str, Stamp]:
    """The stamps of the files to copy, in the order of copying. Blocks."""
    found = {}
    for name in (*_FIRST, *_inner(folder)):
        with suppress(OSError):
            handle = _open(folder / name)
            try:
                facts = os.fstat(handle)
            finally:
                os.close(handle)
            found[name] = facts.st_size, facts.st_mtime_ns
    return found


def _inner(folder: Path) -> Iterator[str]:
    for inner in _FOLDERS:
        with suppress(OSError):
            require_folder(folder / inner)
            names = sorted(path.name for path in (folder / inner).iterdir())
            yield from (f"{inner}/{name}" for name in names if is_copied(f"{inner}/{name}"))


def opened(path: Path) -> tuple[BinaryIO, int, Stamp]:
    """Open a file for a copy of its present state; return it, the bytes to copy, and its stamp.

    Of a JSONL file, which may be growing, only whole lines are copied. Blocks.

    Raises:
        OSError: it is gone, or cannot be read.
    """
    file = os.fdopen(_open(path), "rb")
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
    """Read the folder's records of its copies; empty where there are none. Blocks."""
    record: dict[str, Any] = read_object(folder / COPY)
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


def _open(path: Path) -> int:
    # The file may be a symbolic link that its owner made, to a larger disk: write through it.
    return open_regular(followed(path))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
