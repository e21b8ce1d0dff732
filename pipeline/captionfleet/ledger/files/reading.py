"""Reads the files of an output folder without trusting their content (main, in a thread)."""

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
_MOST = 1e15  # above any count or measurement in these files


@dataclass(frozen=True, slots=True)
class Line:
    """One record of a line file and its offset; a line without a record has an empty one."""

    offset: int
    record: dict[str, Any]


def raw_lines(path: Path, begin: int = 0) -> Iterator[tuple[int, bytes]]:
    """Read the lines of a line file, each with its offset.

    This is the one definition of a line: it ends with a newline or after MAX_LINE_BYTES, and a byte
    order mark, which some editors write at the start of a file, is removed.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        offset = file.seek(begin) if begin else 0
        while raw := file.readline(MAX_LINE_BYTES):
            yield offset, raw if offset else raw.removeprefix(BOM_UTF8)
            offset += len(raw)


def record_at(file: BinaryIO, offset: int) -> dict[str, Any]:
    """The record of the line at an offset; an empty one where the line holds none."""
    file.seek(offset)
    raw = file.readline(MAX_LINE_BYTES)
    return record_of(raw if offset else raw.removeprefix(BOM_UTF8))


def ended(raw: bytes) -> bytes:
    """The line with a newline, which the last line of a file may lack."""
    return raw if raw.endswith(b"\n") else raw + b"\n"


def is_record(line: bytes) -> bool:
    """Whether a line holds a record, even an empty one."""
    return isinstance(_loads(line), dict)


def record_of(line: bytes) -> dict[str, Any]:
    """The record of a line; an empty one where the line holds none."""
    record = _loads(line)
    return record if isinstance(record, dict) else {}


def read_lines(path: Path, begin: int = 0) -> Iterator[Line]:
    """The records of a line file; none if the file is missing.

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
    """The object in a JSON file; an empty one if it is missing or invalid."""
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
    """A number of plausible size; None for anything else."""
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -_MOST < value < _MOST else None


def measure_in(record: dict[str, Any], key: str) -> float | None:
    """A number other than 0, which means unknown; None for anything else."""
    return number_in(record, key) or None


def flags_in(record: dict[str, Any]) -> list[str]:
    """The flags of a captions line: words in one text, or, in earlier lines, a list."""
    flags = record.get("flags")
    if isinstance(flags, str):
        return flags.split()
    return [flag for flag in flags if isinstance(flag, str)] if isinstance(flags, list) else []


def id_in(record: dict[str, Any], key: str = "clip_id") -> int | None:
    """An id of 32 hex digits as a number; None for anything else."""
    text = text_in(record, key)
    try:
        return int(text, 16) if len(text) == _ID_DIGITS else None
    except ValueError:
        return None


def text_in(record: dict[str, Any], key: str) -> str:
    """A text; empty for anything else."""
    value = record.get(key)
    return value if isinstance(value, str) else ""


def table_in(record: dict[str, Any], key: str) -> dict[str, Any]:
    """A table; empty for anything else."""
    value = record.get(key)
    return value if isinstance(value, dict) else {}
