"""Writes the schema of output lines as JSON Schema, for pyarrow and for DuckDB; pure (main)."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import orjson

from captionfleet.ledger.format.line_keys import CAPTIONS, FAILURES, Column, Type
from captionfleet.messages import MAX_LINE_BYTES

__all__ = ["Form", "LineFile", "schema_text"]


class LineFile(StrEnum):
    """A line file of the output folder."""

    CAPTIONS = "captions"
    FAILURES = "failures"


class Form(StrEnum):
    """The form of a schema."""

    JSON_SCHEMA = "json-schema"
    ARROW = "arrow"
    DUCKDB = "duckdb"


_COLUMNS: Mapping[LineFile, tuple[Column, ...]] = {
    LineFile.CAPTIONS: CAPTIONS,
    LineFile.FAILURES: FAILURES,
}
_JSON_TYPES: Mapping[Type, Mapping[str, Any]] = {
    Type.TEXT: {"type": "string"},
    Type.INTEGER: {"type": "integer"},
    Type.NUMBER: {"type": "number"},
    Type.BOOLEAN: {"type": "boolean"},
    Type.NUMBERS: {"type": "array", "items": {"type": "number"}},
    Type.JSON: {"type": "string", "contentMediaType": "application/json"},
}
_ARROW_TYPES: Mapping[Type, str] = {
    Type.TEXT: "pa.string()",
    Type.INTEGER: "pa.int64()",
    Type.NUMBER: "pa.float64()",
    Type.BOOLEAN: "pa.bool_()",
    Type.NUMBERS: "pa.list_(pa.float64())",
    Type.JSON: "pa.string()",
}
_DUCKDB_TYPES: Mapping[Type, str] = {
    Type.TEXT: "VARCHAR",
    Type.INTEGER: "BIGINT",
    Type.NUMBER: "DOUBLE",
    Type.BOOLEAN: "BOOLEAN",
    Type.NUMBERS: "DOUBLE[]",
    Type.JSON: "VARCHAR",
}


def schema_text(file: LineFile, form: Form) -> str:
    """The schema of one line file: JSON Schema, Python for pyarrow, or a DuckDB view."""
    columns = _COLUMNS[file]
    match form:
        case Form.JSON_SCHEMA:
            return orjson.dumps(_document(file, columns), option=orjson.OPT_INDENT_2).decode()
        case Form.ARROW:
            fields = _indented(_arrow_field(column) for column in columns)
            return f"import pyarrow as pa\n\n{file} = pa.schema([\n{fields}\n])"
        case Form.DUCKDB:
            options = (
                f"'{file}.jsonl', format = 'newline_delimited', "
                f"maximum_object_size = {MAX_LINE_BYTES}, columns = {{"
            )
            types = _indented(f"{column.name}: '{_duckdb_type(column)}'" for column in columns)
            return f"CREATE OR REPLACE VIEW {file} AS FROM read_json({options}\n{types}\n}});"


def _document(file: LineFile, columns: tuple[Column, ...]) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of {file}.jsonl",
        **_json_object(columns),
    }


def _json_object(columns: tuple[Column, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [column.name for column in columns],
        "properties": {column.name: _json_column(column) for column in columns},
    }


def _json_column(column: Column) -> dict[str, Any]:
    meaning = {"description": column.meaning}
    if column.type is Type.TABLE:
        return meaning | _json_object(column.columns)
    return meaning | dict(_JSON_TYPES[column.type])


def _arrow_field(column: Column) -> str:
    return f'pa.field("{column.name}", {_arrow_type(column)})'


def _arrow_type(column: Column) -> str:
    if column.type is Type.TABLE:
        return f"pa.struct([{', '.join(map(_arrow_field, column.columns))}])"
    return _ARROW_TYPES[column.type]


def _duckdb_type(column: Column) -> str:
    if column.type is Type.TABLE:
        fields = (f'"{below.name}" {_duckdb_type(below)}' for below in column.columns)
        return f"STRUCT({', '.join(fields)})"
    return _DUCKDB_TYPES[column.type]


def _indented(entries: Iterable[str]) -> str:
    return "\n".join(f"    {entry}," for entry in entries).removesuffix(",")
