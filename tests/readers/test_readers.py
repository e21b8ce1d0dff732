"""30,000 mixed lines open in every reader with no option at all, and nothing of them is lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from captionfleet.ledger.format.schema_forms import Form, LineFile, schema_text
from tests.support.mixed_lines import LATE, LINES, write_captions, write_failures

pd = pytest.importorskip("pandas", reason="make test-readers installs it")
pl = pytest.importorskip("polars", reason="make test-readers installs it")
duckdb = pytest.importorskip("duckdb")
pa = pytest.importorskip("pyarrow", reason="make test-readers installs it")
pa_json = pytest.importorskip("pyarrow.json", reason="make test-readers installs it")
datasets = pytest.importorskip("datasets", reason="make test-readers installs it")

Rows = list[dict[str, Any]]


@pytest.fixture(scope="session")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captions.jsonl whose rare values come after line 25,000."""
    return write_captions(tmp_path_factory.mktemp("lines") / "captions.jsonl")


@pytest.fixture(scope="session")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A failures.jsonl whose rare values come after line 25,000."""
    return write_failures(tmp_path_factory.mktemp("lines") / "failures.jsonl")


def _pandas(path: Path, _: Path) -> Rows:
    rows: Rows = pd.read_json(path, lines=True).to_dict("records")
    return rows


def _pandas_lazily(path: Path, _: Path) -> Rows:
    with pd.read_json(path, lines=True, chunksize=1000) as chunks:
        return [row for chunk in chunks for row in chunk.to_dict("records")]


def _polars(path: Path, _: Path) -> Rows:
    rows: Rows = pl.read_ndjson(path).to_dicts()
    return rows


def _polars_lazily(path: Path, _: Path) -> Rows:
    rows: Rows = pl.scan_ndjson(path).collect().to_dicts()
    return rows


def _duckdb(path: Path, _: Path) -> Rows:
    read = duckdb.connect().sql(f"select * from read_json_auto('{path}')")  # noqa: S608 - our own
    return [dict(zip(read.columns, row, strict=True)) for row in read.fetchall()]


def _duckdb_lazily(path: Path, _: Path) -> Rows:
    read = duckdb.connect().execute(f"select * from '{path}'")  # noqa: S608 - our own
    names = [column[0] for column in read.description]
    rows: Rows = []
    while some := read.fetchmany(1000):
        rows += [dict(zip(names, row, strict=True)) for row in some]
    return rows


def _pyarrow(path: Path, _: Path) -> Rows:
    rows: Rows = pa_json.read_json(path).to_pylist()
    return rows


def _pyarrow_lazily(path: Path, _: Path) -> Rows:
    with pa_json.open_json(path) as batches:
        return [row for batch in batches for row in batch.to_pylist()]


def _datasets(path: Path, cache: Path) -> Rows:
    files = str(path)
    read = datasets.load_dataset("json", data_files=files, split="train", cache_dir=str(cache))
    return list(read)


def _datasets_lazily(path: Path, _: Path) -> Rows:
    return list(datasets.load_dataset("json", data_files=str(path), split="train", streaming=True))


READERS = [
    _pandas,
    _pandas_lazily,
    _polars,
    _polars_lazily,
    _duckdb,
    _duckdb_lazily,
    _pyarrow,
    _pyarrow_lazily,
    _datasets,
    _datasets_lazily,
]
# Readers turn the date into their own type of it.
_DATES = {"completed_at_utc", "failed_at_utc"}


def check_rows(rows: Rows, path: Path) -> None:
    """Every row holds what its line holds."""
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert len(rows) == len(lines) == LINES
    for number in (*range(0, LINES, 997), LATE, LINES - 1):
        expected = {key: value for key, value in lines[number].items() if key not in _DATES}
        assert {key: rows[number][key] for key in expected} == expected
        assert rows[number].keys() == lines[number].keys()


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__.lstrip("_"))
def test_captions_are_read(
    read: Callable[[Path, Path], Rows], captions: Path, tmp_path: Path
) -> None:
    """Values that first appear in line 25,001 are read like all others."""
    check_rows(read(captions, tmp_path), captions)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__.lstrip("_"))
def test_failures_are_read(
    read: Callable[[Path, Path], Rows], failures: Path, tmp_path: Path
) -> None:
    """The same of failures.jsonl."""
    check_rows(read(failures, tmp_path), failures)


def test_arrow_schema_is_what_pyarrow_reads(captions: Path, failures: Path) -> None:
    """The printed schema is the inferred one; datasets and polars take it too."""
    for file, path in ((LineFile.CAPTIONS, captions), (LineFile.FAILURES, failures)):
        names: dict[str, Any] = {}
        exec(schema_text(file, Form.ARROW), names)  # noqa: S102 - it is printed to be run
        schema = names[file]
        read = pa_json.read_json(
            path, parse_options=pa_json.ParseOptions(explicit_schema=schema)
        ).schema
        assert read == schema
        inferred = pa_json.read_json(path).schema
        for field in inferred:
            if field.name not in _DATES:
                assert schema.field(field.name).type == field.type
        assert list(datasets.Features.from_arrow_schema(schema)) == inferred.names
        frame = pl.scan_ndjson(path, schema=pl.from_arrow(schema.empty_table()).schema).head(5)
        assert frame.collect().height == 5
