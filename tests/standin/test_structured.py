"""Answers of the stand-in as JSON."""

from typing import Any

import jsonschema
import orjson
import pytest

from tests.standin import media
from tests.standin.asking import asker, message

pytestmark = pytest.mark.anyio

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "caption": {"type": "string"},
        "count": {"type": "integer", "minimum": 3},
        "is_day": {"type": "boolean"},
        "mood": {"enum": ["calm", "lively"]},
        "place": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["caption", "count", "is_day", "mood", "place", "tags"],
    "$defs": {"Place": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def asked(schema: dict[str, Any]) -> dict[str, Any]:
    """A request for JSON of this schema."""
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    return media.body(media.film(), response_format=wanted)


async def test_answers_fit_the_schema_that_is_asked_for() -> None:
    """What was seen stands in the strings; everything else has the type that is wanted."""
    async with asker() as one:
        status, answer = await one.ask(asked(SCHEMA))
    assert status == 200
    value = orjson.loads(message(answer))
    jsonschema.validate(value, SCHEMA)
    assert "4 frames of 64x48" in value["caption"]


@pytest.mark.parametrize("keyword", ["oneOf", "maxItems", "pattern"])
async def test_keywords_that_the_service_does_not_support_are_a_400(keyword: str) -> None:
    """Strict, they are refused; lenient, as on vLLM, they are taken."""
    schema = {"properties": {"tags": {"items": {keyword: [{}]}}, "oneOf": {"type": "string"}}}
    async with asker() as strict:
        status, answer = await strict.ask(asked(schema))
    assert (status, keyword in answer["error"]["message"]) == (400, True)
