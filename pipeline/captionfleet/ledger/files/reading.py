"""Reads what a run wrote, believing none of it (main process, in a thread)."""

import os
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from captionfleet.errors import ConfigError
from captionfleet.messages import MAX_LINE_BYTES, printable

__all__ = [
    "Line",
    "ended",
    "flags_in",
    "id_in",
    "is_record",
    "measure_in",
    "number_in",
    "raw_lines",
    "read_lines",
    "read_object",
    "record_at",
    "record_of",
    "table_in",
    "text_in",
]

_BUFFER_BYTES = 1 << 20  # a million lines are read at every start

_MAX_OBJECT_BYTES = 1 << 26
_ID_DIGITS = 32
_MOST = 1e15  # of anything that is counted or measured here


@dataclass(frozen=True, slots=True)
class Line:
    """One record of a line file, and where it begins; what is no record is an empty one."""

    offset: int
    record: dict[str, Any]


def raw_lines(path: Path, begin: int = 0) -> Iterator[tuple[int, bytes]]:
    """Read the lines of a line file, each with the offset at which it begins.

    This is the one definition of a line: it ends with a newline or after MAX_LINE_BYTES, and the
    byte order mark that some editors write before the first one does not belong to it.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        offset = file.seek(begin) if begin else 0
        while raw := file.readline(MAX_LINE_BYTES):
            yield offset, raw if offset else raw.removeprefix(BOM_UTF8)
            offset += len(raw)


def record_at(file: BinaryIO, offset: int) -> dict[str, Any]:
    """The record of the line that begins at an offset; an empty one where the line holds none."""
    file.seek(offset)
    raw = file.readline(MAX_LINE_BYTES)
    return record_of(raw if offset else raw.removeprefix(BOM_UTF8))


def ended(raw: bytes) -> bytes:
    """A raw line with its line end, which the last one of a file may lack."""
    return raw if raw.endswith(b"\n") else raw + b"\n"


def is_record(line: bytes) -> bool:
    """Whether a line holds a record, be it an empty one."""
    return isinstance(_loads(line), dict)


def record_of(line: bytes) -> dict[str, Any]:
    """The record in a line; an empty one where the line holds none."""
    record = _loads(line)
    return record if isinstance(record, dict) else {}


def read_lines(path: Path, begin: int = 0) -> Iterator[Line]:
    """The records of a line file; nothing of a file that is not there.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        for offset, raw in raw_lines(path, begin):
            yield Line(offset, record_of(raw))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{printable(os.fspath(path))}: {error.strerror}") from None


def read_object(path: Path) -> dict[str, Any]:
    """The one object of a JSON file; nothing where there is none."""
    try:
        with path.open("rb") as file:
            return record_of(file.read(_MAX_OBJECT_BYTES))
    except OSError:
        return {}


def _loads(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def number_in(record: dict[str, Any], key: str) -> float | None:
    """A number that can be one; None for whatever else may stand there."""
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -_MOST < value < _MOST else None


def measure_in(record: dict[str, Any], key: str) -> float | None:
    """A number that is never 0 when it is known; None for 0 and whatever else may stand there."""
    return number_in(record, key) or None


def flags_in(record: dict[str, Any]) -> list[str]:
    """The flags of a captions line: words in one text, or a list of them in earlier lines."""
    flags = record.get("flags")
    if isinstance(flags, str):
        return flags.split()
    return [flag for flag in flags if isinstance(flag, str)] if isinstance(flags, list) else []


def id_in(record: dict[str, Any], key: str = "clip_id") -> int | None:
    """An id, 32 hex digits, as a number; None for whatever else may stand there."""
    text = text_in(record, key)
    try:
        return int(text, 16) if len(text) == _ID_DIGITS else None
    except ValueError:
        return None


def text_in(record: dict[str, Any], key: str) -> str:
    """A text; empty for whatever else may stand there."""
    value = record.get(key)
    return value if isinstance(value, str) else ""


def table_in(record: dict[str, Any], key: str) -> dict[str, Any]:
    """A table; empty for whatever else may stand there."""
    value = record.get(key)
    return value if isinstance(value, dict) else {}
