"""The output is data that other programs read without help; DuckDB stands for them."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.report.conftest import FILMS, Finished
from tests.support.run_folder import HOSTILE, caption_record, failure_record, write_run_folder


def table(path: Path) -> duckdb.DuckDBPyRelation:
    """A line file, read with no option at all."""
    return duckdb.connect().sql(f"select * from read_json_auto('{path}')")  # noqa: S608 - our own path


def types_of(read: duckdb.DuckDBPyRelation) -> dict[str, str]:
    """The columns' types by name."""
    return dict(zip(read.columns, map(str, read.types), strict=True))


def values(path: Path, expression: str) -> list[Any]:
    """One value for each line, in order."""
    return [row[0] for row in table(path).project(expression).fetchall()]


def test_captions_are_a_table(finished: Finished) -> None:
    """Every line is a row, and every column has the type that its values have."""
    path = finished.output.folder / "captions.jsonl"
    read = table(path)

    types = types_of(read)

    assert read.aggregate("count(*)").fetchall() == [(FILMS,)]
    texts = ("clip_id", "fingerprint", "source", "caption", "finish_reason", "model", "deployment")
    assert {name: types[name] for name in texts} == dict.fromkeys(texts, "VARCHAR") | {
        "clip_id": types["clip_id"]
    }
    assert types["clip_id"] in {"VARCHAR", "UUID"}
    assert (types["start_s"], types["end_s"], types["attempts"]) == ("DOUBLE", "DOUBLE", "BIGINT")
    assert types["completed_at_utc"].startswith("TIMESTAMP")
    assert types["latency"].startswith("STRUCT(prepare_s DOUBLE, queue_s DOUBLE, request_s DOUBLE")
    assert types["usage"].startswith("STRUCT(prompt_tokens BIGINT, completion_tokens BIGINT")
    assert "frame_times_s DOUBLE[]" in types["media"]


def test_every_name_and_number_comes_back(finished: Finished) -> None:
    """Odd names, captions and nested numbers are read as they were written."""
    path = finished.output.folder / "captions.jsonl"
    lines = finished.output.captions

    for key in ("source", "source_b64", "caption", "deployment"):
        assert values(path, key) == [line[key] for line in lines]
    assert values(path, "latency.total_s") == [line["latency"]["total_s"] for line in lines]
    assert values(path, "usage.prompt_tokens") == [line["usage"]["prompt_tokens"] for line in lines]
    assert values(path, "len(media.frame_times_s)") == [line["media"]["frames"] for line in lines]


def test_failures_are_a_table_and_join(finished: Finished) -> None:
    """failures.jsonl is one, too, and both can be counted together by their common columns."""
    captions = table(finished.output.folder / "captions.jsonl")
    failures = table(finished.output.folder / "failures.jsonl")

    types = types_of(failures)
    assert (types["code"], types["permanent"], types["attempts"]) == (
        "VARCHAR",
        "BOOLEAN",
        "BIGINT",
    )
    assert failures.project("code, permanent").fetchall() == [("not_video", True)]
    common = "source, start_s, end_s"
    both = captions.project(common).fetchall() + failures.project(common).fetchall()
    assert len(set(both)) == FILMS + 1


@pytest.mark.parametrize("name", ["captions", "failures"])
def test_hostile_texts_are_only_texts(tmp_path: Path, name: str) -> None:
    """Whatever a model says or a file is called is a value of its column."""
    texts = list(HOSTILE.values())
    captions = [caption_record(number, caption=text) for number, text in enumerate(texts)]
    failures = [failure_record(n) | {"detail": text} for n, text in enumerate(texts)]
    write_run_folder(tmp_path, captions, failures)

    column = {"captions": "caption", "failures": "detail"}[name]

    assert values(tmp_path / f"{name}.jsonl", column) == texts


def test_a_clean_run_has_no_failures_to_read(tmp_path: Path) -> None:
    """An empty failures.jsonl is a table without rows, not an error."""
    write_run_folder(tmp_path, [caption_record()])

    assert table(tmp_path / "failures.jsonl").fetchall() == []
