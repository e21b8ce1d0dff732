"""Serialises each line of the output files; pure (main process)."""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import PurePath
from typing import Any

import orjson

from captionfleet.ledger.format.line_keys import (
    CAPTIONS,
    FAILURES,
    Column,
    Type,
)
from captionfleet.ledger.format.rows import CaptionRow, FailureRow
from captionfleet.messages import Adopted, Caption, Failure, Measured, SameFile, printable
from captionfleet.names import name_fields

__all__ = [
    "MEASURED_BY",
    "adopted_line",
    "caption_line",
    "document",
    "failure_line",
    "film_line",
    "refiled_line",
    "renamed_line",
    "same_line",
]

MEASURED_BY = 1
"""Raised whenever films are measured in another way: older measurements then no longer count."""

_MAX_INTEGER = 2**63
_NAMES = ("source", "source_b64", "path", "path_b64", "root", "root_b64")


def caption_line(caption: Caption, completed_at_utc: str, fingerprint: str = "") -> bytes:
    """One line for captions.jsonl, with its newline.

    `fingerprint` identifies the request; it is at a fixed place, where resuming reads it.
    """
    row = CaptionRow(caption, fingerprint, completed_at_utc)
    return _dumps(_filled(CAPTIONS, row), orjson.OPT_APPEND_NEWLINE)


def failure_line(failure: Failure, failed_at_utc: str) -> bytes:
    """One line for failures.jsonl, with its newline."""
    row = FailureRow(failure, failed_at_utc)
    return _dumps(_filled(FAILURES, row), orjson.OPT_APPEND_NEWLINE)


def same_line(same: SameFile, noted_at_utc: str) -> bytes:
    """One line for same.jsonl: the file holds this clip, and need not be read again."""
    keys = {"clip_id": same.clip.clip_id, "stat_id": same.clip.stat_id}
    source = same.clip.source
    names = name_fields("source", source.name) | name_fields("path", source.known_path)
    return _dumps(keys | names | {"noted_at_utc": noted_at_utc}, orjson.OPT_APPEND_NEWLINE)


def adopted_line(adopted: Adopted, adopted_at_utc: str) -> bytes:
    """One line for adopted.jsonl: the caption under `former_id` belongs to this clip."""
    source = adopted.clip.source
    names = {"source": source.name, "path": source.known_path, "root": source.root}
    record = {"clip_id": adopted.clip.clip_id, "former_id": adopted.former_id}
    for key, name in names.items():
        record |= {f"{key}_b64": ""} | name_fields(key, name)
    return _dumps(record | {"adopted_at_utc": adopted_at_utc}, orjson.OPT_APPEND_NEWLINE)


def film_line(measured: Measured, measured_at_utc: str) -> bytes:
    """One line for films.jsonl: the film need not be opened again to be cut into windows."""
    keys = {"film_id": measured.film_id, "measured_by": MEASURED_BY}
    film = measured.film
    facts = {"seconds": film.seconds, "is_joined": film.is_joined}
    scenes = {"scene_ends_s": film.scene_ends_s} if film.scene_ends_s else {}
    name = name_fields("path", measured.source.known_path)
    return _dumps(
        keys | facts | scenes | name | {"measured_at_utc": measured_at_utc},
        orjson.OPT_APPEND_NEWLINE,
    )


def refiled_line(record: Mapping[str, Any], key: str, adopted: Mapping[str, Any]) -> bytes:
    """A captions line under the current id and path of its file.

    `key` is the key whose id changes, and `adopted` the record of its line in adopted.jsonl.
    """
    place = {name: adopted[name] for name in _NAMES if name in adopted}
    return _dumps({**record, key: adopted["clip_id"], **place}, orjson.OPT_APPEND_NEWLINE)


def renamed_line(record: Mapping[str, Any], request: str) -> bytes:
    """A captions line with another name of its request, at the place where resuming reads it."""
    before = [key for key in ("clip_id", "fingerprint", "stat_id") if key in record]
    head = {key: record[key] for key in before}
    rest = {key: value for key, value in record.items() if key not in {*before, "request"}}
    return _dumps(head | {"request": request} | rest, orjson.OPT_APPEND_NEWLINE)


def document(record: Mapping[str, Any]) -> bytes:
    """The content of a JSON file, indented for people."""
    return _dumps(dict(record), orjson.OPT_APPEND_NEWLINE | orjson.OPT_INDENT_2)


def _filled(columns: tuple[Column, ...], row: object) -> dict[str, Any]:
    """The value of every column, each of its column's type."""
    return {column.name: _typed(column, _value(column, row)) for column in columns}


def _value(column: Column, row: object) -> object:
    return getattr(row, column.name) if column.value is None else column.value(row)


def _typed(column: Column, value: Any) -> object:
    if column.type is Type.TABLE:
        return _filled(column.columns, value)
    return _AS[column.type](value)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _integer(value: object) -> int:
    return value if isinstance(value, int) and -_MAX_INTEGER <= value < _MAX_INTEGER else 0


def _number(value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float) else 0.0
    except OverflowError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _numbers(values: Iterable[object]) -> list[float]:
    return [_number(value) for value in values]


def _json(value: object) -> str:
    return _dumps(value, 0).decode()


_AS: Mapping[Type, Callable[[Any], object]] = {
    Type.TEXT: _text,
    Type.INTEGER: _integer,
    Type.NUMBER: _number,
    Type.BOOLEAN: bool,
    Type.NUMBERS: _numbers,
    Type.JSON: _json,
}


def _dumps(record: Any, options: int) -> bytes:
    # A server may send lone surrogates or integers of any length; orjson writes NaN and infinity as
    # null.
    try:
        return orjson.dumps(record, option=options)
    except orjson.JSONEncodeError:
        return orjson.dumps(_clean(record), option=options)


def _clean(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(below) for below in value]
    if isinstance(value, PurePath):
        return printable(os.fspath(value))
    if isinstance(value, str):
        return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    is_too_large = isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER
    return None if is_too_large else value
