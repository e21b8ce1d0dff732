"""Which JSON Schemas a job may ask for."""

import datetime as dt
from pathlib import Path
from typing import Any

import orjson
import pytest

from captionfleet.config import JobConfig, load_job
from captionfleet.config.response_schema import check_schema, closed, refused_by_fireworks
from captionfleet.errors import ConfigError

SCENE = {
    "type": "object",
    "properties": {
        "caption": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "place": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
    },
    "required": ["caption"],
    "$defs": {"Place": {"type": "object", "properties": {"name": {"type": "string"}}}},
}
DOUBLING = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}


def nested(depth: int) -> dict[str, Any]:
    """A schema that is so deep."""
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


def job(schema: object, **deployment: Any) -> dict[str, Any]:
    """A job file's content."""
    one = {"base_url": "http://h/v1", "model": "m", "api_key_env": ""} | deployment
    return {"request": {"response_schema": schema}, "deployments": [one]}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ([], "a JSON Schema is a table"),
        ({"type": "text"}, "type: 'text' is not valid"),
        ({"properties": {"pattern": {"pattern": "(a+)+$"}}}, "properties.pattern.pattern: regular"),
        ({"require": ["a"]}, "require: this keyword is not supported, did you mean required?"),
        ({"items": {"$ref": "https://h/s.json"}}, "items.$ref: 'https://h/s.json' is not a d"),
        ({"$ref": "file:///etc/passwd"}, "$ref: 'file:///etc/passwd' is not a definition"),
        ({"$ref": "#"}, "$ref: '#' is not a definition"),
        ({"$id": "https://h/"}, "$id: this keyword is not supported"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "only draft 2020-12 is supported"),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}},
            "leads back to itself",
        ),
        ({"$ref": "#/$defs/d0", "$defs": DOUBLING | {"d40": {}}}, "more than 2000 parts"),
        ({"enum": list(range(3000))}, "more than 2000 parts"),
        (nested(100), "more than 64 deep"),
        ({"const": dt.date(2026, 11, 22)}, "const: JSON has no date"),
        ({"unevaluatedProperties": {}}, "only true and false"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(schema: object, words: str) -> None:
    """No schema that is wrong, remote, recursive, huge or slow comes further than the job file."""
    with pytest.raises(ConfigError) as refused:
        load_job(None, job(schema))
    assert "request.response_schema: " in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.parametrize("keyword", ["oneOf", "minLength", "maxLength", "minItems", "maxItems"])
def test_what_fireworks_refuses_is_caught_before_sending(keyword: str) -> None:
    """Its path is named for a deployment on Fireworks; other servers may well take it."""
    bound = [{"type": "string"}] if keyword == "oneOf" else 2
    schema = {"properties": {"tags": {"items": {keyword: bound}}, keyword: {"type": "string"}}}
    assert load_job(None, job(schema)).request.response_schema == schema
    assert refused_by_fireworks(SCENE) is None
    with pytest.raises(ConfigError, match=rf"properties\.tags\.items\.{keyword}: Fireworks"):
        load_job(None, job(schema, provider="fireworks"))


def test_objects_are_closed_to_what_they_do_not_name() -> None:
    """An object with properties has no others, unless it says so or is put together of parts."""
    assert check_schema(SCENE) == SCENE
    shut = closed(SCENE)
    assert shut["additionalProperties"] is shut["$defs"]["Place"]["additionalProperties"] is False
    for composed in (
        {"properties": {}, "additionalProperties": True},
        {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]},
        {"properties": {"a": {}}, "anyOf": [{"properties": {"b": {}}}]},
    ):
        assert closed(composed) == composed


def test_a_file_is_found_beside_the_job_file(tmp_path: Path) -> None:
    """A path is taken from the job file's folder, and the settings hold the schema itself."""
    (tmp_path / "scene.json").write_bytes(orjson.dumps(SCENE))
    (tmp_path / "job.toml").write_text('[request]\nresponse_schema = "scene.json"\n')
    loaded = load_job(tmp_path / "job.toml", {})
    assert loaded.request.response_schema == SCENE
    assert JobConfig.model_validate(loaded.model_dump()).request.response_schema == SCENE


@pytest.mark.parametrize("content", [None, b"{", b"[" * 100_000, b'"text"'])
def test_a_file_that_holds_no_schema_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Missing, broken, bottomless or something else: exit code 2 and the file's name."""
    if content is not None:
        (tmp_path / "s.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"response_schema: .*(s\.json: |a JSON Schema is)"):
        load_job(None, job(str(tmp_path / "s.json")))
