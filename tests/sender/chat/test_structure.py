"""Whether an answer fits a schema, at a cost that is bounded whatever either of them is."""

from typing import Any

import orjson
import pytest

from captionfleet.config.response_schema import check_schema
from captionfleet.errors import FailureCode
from captionfleet.messages import Usage
from captionfleet.sender.chat.answers import Answer
from captionfleet.sender.chat.structure import Structure
from captionfleet.sender.routing.verdict import Verdict


def read(schema: dict[str, Any], value: object) -> Answer | Verdict:
    """What becomes of an answer that is this value as JSON."""
    text = orjson.dumps(value).decode()
    return Structure(check_schema(schema)).read(Answer(text, "stop", Usage(), {}))


def nested(depth: int) -> list[Any]:
    """Lists within lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [[0] * 20_000, nested(200), {"a": nested(70)}], ids=["long", "deep", "deep below"]
)
def test_no_answer_is_checked_beyond_its_bounds(value: object) -> None:
    """What is longer or deeper than any caption is none, although the schema would take it."""
    outcome = read({}, value)
    assert isinstance(outcome, Verdict)
    assert outcome.code is FailureCode.INVALID_STRUCTURE
    assert "larger or deeper" in outcome.detail


@pytest.mark.parametrize(
    ("schema", "value", "fits"),
    [
        ({"uniqueItems": True}, [{"a": n} for n in range(4900)], True),
        ({"uniqueItems": True}, [{"a": n} for n in range(4900)] + [{"a": 7}], False),
        ({"uniqueItems": False}, [1, 1], True),
        ({"uniqueItems": True}, "no list", True),
        ({"items": {"anyOf": [{"const": n} for n in range(900)]}}, [899] * 20, True),
        ({"items": {"anyOf": [{"const": n} for n in range(900)]}}, [899] * 9000, False),
        ({"multipleOf": 1e-300}, 1e300, False),
    ],
)
def test_hostile_pairs_end_soon(schema: dict[str, Any], value: object, fits: bool) -> None:  # noqa: FBT001 - a row of the table
    """No pair of schema and answer takes the minutes that comparing all with all would take."""
    assert isinstance(read(schema, value), Answer) == fits


def test_a_problem_is_told_by_its_place_and_not_by_its_text() -> None:
    """The words of the answer are in nobody's log."""
    schema = {"properties": {"scenes": {"items": {"properties": {"at_s": {"type": "number"}}}}}}
    outcome = read(schema, {"scenes": [{"at_s": 1}, {"at_s": "secret\nwords"}]})
    assert isinstance(outcome, Verdict)
    assert outcome.detail == "scenes.1.at_s does not fit type of the schema"


def test_references_are_followed_within_the_schema() -> None:
    """A definition counts wherever it is used."""
    schema = {"$defs": {"T": {"type": "string"}}, "items": {"$ref": "#/$defs/T"}}
    assert isinstance(read(schema, ["a", "b"]), Answer)
    assert isinstance(read(schema, ["a", 1]), Verdict)
