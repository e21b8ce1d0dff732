"""The printed schemas are those of the lines that are written."""

import dataclasses
import json
from pathlib import Path

import duckdb
import pytest
from jsonschema import Draft202012Validator

from captionfleet.cli import run_command_line
from captionfleet.ledger.format.line_keys import CAPTIONS, FAILURES, Column, Type
from captionfleet.ledger.format.schema_forms import Form, LineFile, schema_text
from captionfleet.ledger.format.serialising import caption_line, failure_line
from captionfleet.messages import Damage, Latency, MediaFacts, Usage
from captionfleet.sender.chat import quality
from tests.support.mixed_lines import AT
from tests.support.outcomes import make_caption, make_failure
from tests.support.run_folder import write_run_folder

LINES = {
    LineFile.CAPTIONS: caption_line(make_caption(server={"backend-host": "h"}), AT, "f" * 16),
    LineFile.FAILURES: failure_line(make_failure(), AT),
}


def sub_columns(name: str) -> set[str]:
    """The keys of a table in a captions line."""
    (table,) = (column for column in CAPTIONS if column.name == name)
    return {column.name for column in table.columns}


def test_no_fact_is_left_out() -> None:
    """What is measured of a clip has its key."""
    tables = {"usage": Usage, "latency": Latency, "media": MediaFacts}
    for name, kind in tables.items():
        assert sub_columns(name) == {field.name for field in dataclasses.fields(kind)}
    (media,) = (column for column in CAPTIONS if column.name == "media")
    (damage,) = (column for column in media.columns if column.name == "damage")
    fields = {field.name for field in dataclasses.fields(Damage)}
    assert {column.name for column in damage.columns} == fields


def test_flags_are_found_as_words() -> None:
    """`"truncated" in line["flags"]` is true of no other flag."""
    flags = (quality.TRUNCATED, quality.UNKNOWN_FINISH, quality.DEGENERATE)
    assert [a for a in flags for b in flags if a in b] == list(flags)
    record = json.loads(caption_line(dataclasses.replace(make_caption(), flags=flags[:2]), AT))
    assert record["flags"] == "truncated unknown_finish"


@pytest.mark.parametrize("file", LineFile)
def test_json_schema_describes_a_line(file: LineFile, capsys: pytest.CaptureFixture[str]) -> None:
    """A line fits; one with a null, or without a key, does not."""
    assert run_command_line(["schema", file.value]) == 0
    schema = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(schema)
    validator, line = Draft202012Validator(schema), json.loads(LINES[file])

    assert [*validator.iter_errors(line)] == []
    assert list(line) == schema["required"] == list(schema["properties"])
    for key in line:
        assert not validator.is_valid(line | {key: None})
        assert not validator.is_valid({other: line[other] for other in line if other != key})


@pytest.mark.parametrize("file", LineFile)
def test_duckdb_view_reads_lines_of_any_version(
    file: LineFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view has the types of the schema; what earlier versions left out is null."""
    line = json.loads(LINES[file])
    old = {"clip_id": line["clip_id"], "source": "a.mp4"}
    write_run_folder(tmp_path, **{file.value: [line, old]})
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as connection:
        connection.execute(schema_text(file, Form.DUCKDB))
        read = connection.sql(f"from {file}")

        rows = [dict(zip(read.columns, row, strict=True)) for row in read.fetchall()]

    assert rows[0] == line
    assert rows[1] == dict.fromkeys(line) | old


@pytest.mark.parametrize("columns", [CAPTIONS, FAILURES])
def test_every_key_says_what_it_means(columns: tuple[Column, ...]) -> None:
    """No key comes without a word about it, and none stands twice."""
    names = [column.name for column in columns]
    assert len(set(names)) == len(names)
    assert all(column.meaning for column in columns)
    assert all(bool(column.columns) == (column.type is Type.TABLE) for column in columns)
