"""Reads lists with columns, row by row: CSV, TSV, JSON lines and Parquet (main, in threads)."""

import csv
import importlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from captionfleet.errors import ConfigError
from captionfleet.messages import printable
from captionfleet.producer.lists.rows import PATH_COLUMNS, BadRow, Entry, entry_of, path_column

__all__ = ["TABLES", "shown_path", "table_entries"]

_MAX_ROW_BYTES = 1 << 20
_BATCH_ROWS = 1000
_LOOKED_AT = 100  # rows of JSON lines to try before the file is refused
_WANTED = ", ".join(PATH_COLUMNS[:5])


def table_entries(path: Path, ending: str) -> Iterator[Entry | BadRow]:
    """The rows of a list, numbered by their lines in the file, header included. Blocks.

    Raises:
        ConfigError: the file cannot be read, or is not a list.
    """
    try:
        yield from TABLES[ending](path)
    except OSError as error:
        raise ConfigError(f"list {shown_path(path)}: {error.strerror}") from None


def _csv(path: Path) -> Iterator[Entry | BadRow]:
    yield from _separated(path, ",;\t")


def _tsv(path: Path) -> Iterator[Entry | BadRow]:
    yield from _separated(path, "\t")


def _separated(path: Path, delimiters: str) -> Iterator[Entry | BadRow]:
    with path.open("rb") as file:
        first = next(_lines(file, path), "")
        names, delimiter = _header(path, first, delimiters)
        file.seek(0)
        rows = csv.reader(_lines(file, path), delimiter=delimiter)
        with _csv_errors(path):
            for number, cells in enumerate(rows, 1):
                if number == 1 or not any(cells):  # spreadsheets write empty rows at the end
                    continue
                yield _row(names, cells, number)


def _header(path: Path, line: str, delimiters: str) -> tuple[list[str], str]:
    """The column names and the delimiter, which spreadsheets choose by their language."""
    for delimiter in delimiters:
        with _csv_errors(path):
            names = next(csv.reader([line], delimiter=delimiter), [])
        if path_column(names) is not None:
            return names, delimiter
    found = printable(line.strip())[:60]
    raise ConfigError(
        f"list {shown_path(path)}: it is not a list of videos: no column of its first line is "
        f"called {_WANTED} (it begins {found!r})"
    )


def _row(names: Sequence[str], cells: Sequence[str], number: int) -> Entry | BadRow:
    if len(cells) > len(names):
        more = f"row {number}: {len(cells)} cells, but the first line names {len(names)} columns"
        return BadRow(number, more)
    return entry_of(dict(zip(names, cells, strict=False)), number)


def _jsonl(path: Path) -> Iterator[Entry | BadRow]:
    with path.open("rb") as file:
        head = [*islice(_json_rows(_lines(file, path)), _LOOKED_AT)]
        if head and not any(isinstance(entry, Entry) for entry in head):
            reason = next(entry.reason for entry in head if isinstance(entry, BadRow))
            raise ConfigError(f"list {shown_path(path)}: it is not a list of videos: {reason}")
        file.seek(0)
        yield from _json_rows(_lines(file, path))


def _json_rows(lines: Iterator[str]) -> Iterator[Entry | BadRow]:
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            record = None
        if isinstance(record, str):
            record = {"path": record}
        if isinstance(record, dict):
            yield entry_of(record, number)
        else:
            yield BadRow(number, f"row {number}: it is not a JSON object")


def _parquet(path: Path) -> Iterator[Entry | BadRow]:
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        broken: Any = importlib.import_module("pyarrow").ArrowException
    except ImportError:
        raise ConfigError(
            f"list {shown_path(path)}: Parquet needs pyarrow: pip install 'captionfleet[export]'"
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if path_column(names) is None:
                raise ConfigError(
                    f"list {shown_path(path)}: it is not a list of videos: "
                    f"no column is called {_WANTED}"
                )
            batches = file.iter_batches(batch_size=_BATCH_ROWS)
            records = (record for batch in batches for record in batch.to_pylist())
            for number, record in enumerate(records, 1):
                yield entry_of(record, number)
    except broken as error:
        why = " ".join(str(error).split())[:200]
        raise ConfigError(f"list {shown_path(path)}: it is not a Parquet file: {why}") from None


TABLES: dict[str, Callable[[Path], Iterator[Entry | BadRow]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}


def _lines(file: io.BufferedReader, path: Path) -> Iterator[str]:
    """The lines as text; bytes that are not UTF-8, as in names, become surrogates."""
    is_first = True
    while raw := file.readline(_MAX_ROW_BYTES):
        if len(raw) == _MAX_ROW_BYTES and not raw.endswith(b"\n"):
            raise ConfigError(f"list {shown_path(path)}: no row is that long: is this a list?")
        text = os.fsdecode(raw)
        yield text.removeprefix("\ufeff") if is_first else text
        is_first = False


@contextmanager
def _csv_errors(path: Path) -> Iterator[None]:
    csv.field_size_limit(_MAX_ROW_BYTES)
    try:
        yield
    except csv.Error as error:
        raise ConfigError(f"list {shown_path(path)}: {error}: is this a list?") from None


def shown_path(path: Path) -> str:
    """A path for a message, on one line."""
    return printable(os.fspath(path)).replace("\n", "\\n")
