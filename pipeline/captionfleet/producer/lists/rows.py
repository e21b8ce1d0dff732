"""Checks one row of a list: its path, window, prompt and metadata; pure (main process)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from captionfleet.messages import Row
from captionfleet.messages.address import is_address, parse_address

__all__ = ["PATH_COLUMNS", "BadRow", "Entry", "entry_of", "path_column", "plain_entry"]

PATH_COLUMNS = ("path", "file", "video", "source", "url", "file_name", "filename", "video_path")
"""The possible names of the column of paths, ignoring case, in order of precedence."""

_OWN = frozenset({"id", "prompt", "start_s", "end_s"})
# Four months: longer than any film, and far from where a container's clock ends.
_MOST_S = 10_000_000
_MAX_METADATA_BYTES = 1 << 20  # as long as a row of a text file may be


@dataclass(frozen=True, slots=True)
class Entry:
    """A film that a list names; `row` is None if the list gives only its path."""

    path: str
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that names no clip, with the reason; `number` is its place in the list, from 1."""

    number: int
    reason: str


class _RowError(ValueError):
    pass


def path_column(names: Sequence[str]) -> str | None:
    """The column that holds the paths; None if there is none, and this is not a list."""
    known = {name.strip().lower(): name for name in reversed(names)}
    return next((known[name] for name in PATH_COLUMNS if name in known), None)


def entry_of(record: Mapping[str, Any], number: int) -> Entry | BadRow:
    """Parse a row by its columns; every value is checked."""
    try:
        return _entry(record, number)
    except _RowError as error:
        return BadRow(number, f"row {number}: {error}")


def plain_entry(path: str, number: int) -> Entry | BadRow:
    """Parse a list line that holds only a path or an address."""
    try:
        address = path.strip()
        return Entry(_checked_address(address) if is_address(address) else path)
    except _RowError as error:
        return BadRow(number, f"entry {number}: {error}")


def _entry(record: Mapping[str, Any], number: int) -> Entry:
    column = path_column(list(record))
    if column is None:
        raise _RowError("it names no film: no path, file, video, source or url")
    own = {name.strip().lower(): value for name, value in record.items() if name != column}
    start_s, end_s = _window(own.get("start_s"), own.get("end_s"))
    rest = {
        name: value
        for name, value in record.items()
        if name != column and name.strip().lower() not in _OWN
    }
    row = Row(number, _id(own.get("id")), _prompt(own.get("prompt")), start_s, end_s, _json(rest))
    return Entry(_path(record[column]), row)


def _path(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        is_empty = value is None or isinstance(value, str)
        raise _RowError("the path is empty" if is_empty else "the path is not a text")
    if "\0" in value:
        raise _RowError("a path cannot hold a NUL byte")
    # A file's name may begin with a blank, an address never: tables often have blanks before
    # values.
    address = value.strip()
    scheme = address.partition("://")[0] if "://" in address else ""
    if scheme.lower() == "file":
        return unquote(urlsplit(address).path)
    if is_address(address):
        return _checked_address(address)
    if scheme.isalnum():
        raise _RowError(f"{scheme}:// is none of s3://, gs://, az://, https:// and file://")
    return value


def _checked_address(value: str) -> str:
    try:
        address = parse_address(value)
        address.opens.encode()
    except ValueError as error:
        raise _RowError(f"not the address of an object: {error}") from None
    if not address.key and not address.is_web:
        raise _RowError("the address names a bucket, and no object in it")
    return value


def _id(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _RowError("id: it is neither a text nor a whole number")
    return _text("id", str(value))


def _prompt(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _RowError("prompt: it is not a text")
    return _text("prompt", value) if value.strip() else ""


def _text(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _RowError(f"{name}: it is not valid Unicode text") from None
    return value


def _window(start: object, end: object) -> tuple[float | None, float | None]:
    start_s, end_s = _seconds("start_s", start), _seconds("end_s", end)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise _RowError("end_s: it is not after start_s")
    return start_s, end_s


def _seconds(name: str, value: object) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        seconds = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):  # an integer of 400 digits
        seconds = math.nan
    if isinstance(value, bool) or not math.isfinite(seconds) or seconds < 0:
        raise _RowError(f"{name}: {str(value)[:40]!r} is not a number of seconds")
    if seconds > _MOST_S:
        raise _RowError(f"{name}: {str(value)[:40]!r} is beyond the end of any film")
    return seconds + 0.0  # -0.0 is 0.0


def _json(rest: Mapping[str, Any]) -> str:
    try:
        text = orjson.dumps(dict(rest), default=str, option=orjson.OPT_NON_STR_KEYS)
    except (orjson.JSONEncodeError, TypeError):
        raise _RowError("a column holds neither valid Unicode text nor a JSON value") from None
    if len(text) > _MAX_METADATA_BYTES:
        raise _RowError(f"its columns take more than {_MAX_METADATA_BYTES >> 20} MiB")
    return text.decode()
