"""Writes tables of captions: CSV, JSON lines, Parquet, and formats of trainers (main process)."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

import orjson

from captionfleet.errors import ConfigError
from captionfleet.export.choice import Item
from captionfleet.export.wording import plain
from captionfleet.ledger.files.reading import flags_in, number_in, table_in, text_in
from captionfleet.messages import printable

__all__ = [
    "Collected",
    "csv_parts",
    "jsonl_parts",
    "parquet_parts",
    "require_pyarrow",
    "training_parts",
]

_ROWS, _ROWS_BYTES = 1000, 1 << 24
# Characters that begin a formula in spreadsheets (OWASP, CSV injection).
_FORMULA = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")  # and their full-width forms

_Cell = str | float | int | bool


def _text(key: str) -> Callable[[Item], _Cell]:
    return lambda item: text_in(item.record, key)


def _media_text(key: str) -> Callable[[Item], _Cell]:
    return lambda item: text_in(table_in(item.record, "media"), key)


def _integer(table: str, key: str) -> Callable[[Item], _Cell]:
    def value(item: Item) -> int:
        record = table_in(item.record, table) if table else item.record
        return int(number_in(record, key) or 0)

    return value


def _json(item: Item) -> str:
    data = item.record.get("data")
    return data if isinstance(data, str) else orjson.dumps(data).decode()


def _flags(item: Item) -> str:
    return " ".join(flags_in(item.record))


_COLUMNS: dict[str, tuple[type, Callable[[Item], _Cell]]] = {
    "clip_id": (str, _text("clip_id")),
    "request": (str, _text("request")),
    "source": (str, lambda item: printable(item.name)),
    "path": (str, lambda item: printable(item.film)),
    "start_s": (float, lambda item: item.entry.start_s),
    "end_s": (float, lambda item: item.end_s),
    "caption": (str, lambda item: item.caption),
    "data": (str, _json),
    "flags": (str, _flags),
    "finish_reason": (str, _text("finish_reason")),
    "model": (str, _text("model")),
    "deployment": (str, _text("deployment")),
    "attempts": (int, _integer("", "attempts")),
    "prompt_tokens": (int, _integer("usage", "prompt_tokens")),
    "completion_tokens": (int, _integer("usage", "completion_tokens")),
    "frames": (int, _integer("media", "frames")),
    "source_width": (int, _integer("media", "source_width")),
    "source_height": (int, _integer("media", "source_height")),
    "source_s": (float, lambda i: number_in(table_in(i.record, "media"), "source_s") or 0.0),
    "source_codec": (str, _media_text("source_codec")),
    "has_audio": (bool, lambda item: table_in(item.record, "media").get("has_audio") is True),
    "video_sha256": (str, _media_text("video_sha256")),
    "audio_sha256": (str, _media_text("audio_sha256")),
    "completed_at_utc": (str, _text("completed_at_utc")),
    "code": (str, _text("code")),
    "detail": (str, _text("detail")),
    "id": (str, _text("id")),
    "metadata": (str, _text("metadata")),
}


def _row(item: Item) -> list[_Cell]:
    return [value(item) for _, value in _COLUMNS.values()]


def csv_parts(items: Iterable[Item]) -> Iterator[bytes]:
    """CSV (RFC 4180) with a header; an apostrophe precedes text that would be a formula."""
    yield _csv_line(list(_COLUMNS))
    for item in items:
        yield _csv_line([_cell(value) for value in _row(item)])


def _csv_line(cells: list[_Cell]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _cell(value: _Cell) -> _Cell:
    if not isinstance(value, str):
        return value
    clean = plain(value)
    return f"'{clean}" if clean.startswith(_FORMULA) else clean


def jsonl_parts(items: Iterable[Item]) -> Iterator[bytes]:
    """Whole lines; `answer` is the original caption, if the export edits it."""
    for item in items:
        answer = text_in(item.record, "caption")
        worded = {"caption": item.caption, "answer": answer} if item.caption != answer else {}
        yield orjson.dumps(item.record | worded, option=orjson.OPT_APPEND_NEWLINE)


def training_parts(items: Iterable[Item]) -> Iterator[bytes]:
    """Path and caption for kohya's musubi-tuner; with the window unless it is the whole film."""
    for item in items:
        line: dict[str, Any] = {"video_path": item.film, "caption": plain(item.caption)}
        film_s = number_in(table_in(item.record, "media"), "source_s") or 0.0
        if item.entry.start_s or item.end_s < film_s:
            line |= {"start_s": item.entry.start_s, "end_s": item.end_s}
        if item.entry.request:
            line["request"] = item.entry.request
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def require_pyarrow() -> Any:
    """The library pyarrow, which the extra installs.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError:
        raise ConfigError("Parquet needs pyarrow: pip install 'captionfleet[export]'") from None


class Collected(io.RawIOBase):
    """A file object whose bytes are taken out while it is written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def writable(self) -> bool:
        """As the name says."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes."""
        part = bytes(data)
        self._parts.append(part)
        self._size_bytes += len(part)
        return len(part)

    def tell(self) -> int:
        """The number of bytes written, including those taken out."""
        return self._size_bytes

    def taken(self) -> Iterator[bytes]:
        """The bytes written since the last call."""
        parts, self._parts = self._parts, []
        yield from parts


def parquet_parts(items: Iterable[Item]) -> Iterator[bytes]:
    """Parquet, at most a thousand rows or 16 MB of captions at a time.

    Raises:
        ConfigError: pyarrow is not installed.
    """
    pyarrow = require_pyarrow()
    types = {str: pyarrow.string(), float: pyarrow.float64(), int: pyarrow.int64()}
    types[bool] = pyarrow.bool_()
    schema = pyarrow.schema([(name, types[kind]) for name, (kind, _) in _COLUMNS.items()])
    sink = Collected()
    with pyarrow.parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for rows in _batches(items):
            columns = [list(column) for column in zip(*rows, strict=True)]
            table = pyarrow.Table.from_arrays(
                [pyarrow.array(c, f.type) for c, f in zip(columns, schema, strict=True)],
                schema=schema,
            )
            writer.write_table(table)
            yield from sink.taken()
    yield from sink.taken()


def _batches(items: Iterable[Item]) -> Iterator[list[list[_Cell]]]:
    rows: list[list[_Cell]] = []
    size_bytes = 0
    for item in items:
        rows.append(_row(item))
        size_bytes += len(item.caption)
        if len(rows) >= _ROWS or size_bytes >= _ROWS_BYTES:
            yield rows
            rows, size_bytes = [], 0
    if rows:
        yield rows
