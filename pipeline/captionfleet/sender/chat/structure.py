"""Checks that an answer is JSON that fits the job's schema; pure (main process).

The answer is untrusted: the cost of checking it is bounded in size, parts and depth.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from captionfleet.config import RequestConfig
from captionfleet.config.response_schema import closed
from captionfleet.errors import FailureCode
from captionfleet.sender.chat.answers import Answer
from captionfleet.sender.routing.verdict import Verdict, judge

if TYPE_CHECKING:
    from jsonschema import ValidationError

__all__ = ["Structure", "structure_of"]

_MOST_BYTES = 2**18
_MOST_PARTS = 10_000
_MOST_STEPS = 30_000  # limit of keyword checks: less than a second
_MOST_DEPTH = 64
_PLACE_CHARS = 60
_NO_CAPTION = "larger or deeper than any caption"


class _TooMuchError(Exception):
    """Raised when checking an answer takes more steps than any caption needs."""


class Structure:
    """Reads answers by one schema, which `check_schema` has admitted."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        # Imported here: only jobs with a schema need it.
        from jsonschema import Draft202012Validator, validators  # noqa: PLC0415
        from referencing import Registry  # noqa: PLC0415

        checks = Draft202012Validator.VALIDATORS | {"uniqueItems": _unique_items}
        counted = {keyword: self._counted(check) for keyword, check in checks.items()}
        kind = validators.extend(Draft202012Validator, counted)  # type: ignore[no-untyped-call] # its stub
        # The empty registry holds no other document and fetches none.
        self._validator = kind(closed(schema), registry=Registry())
        self._steps_left = 0

    def read(self, answer: Answer) -> Answer | Verdict:
        """The answer with its data, or the verdict on why it has none.

        JSON that max_tokens cut off is not retried, as it would be cut off again.
        """
        try:
            data = orjson.loads(answer.text) if len(answer.text) <= _MOST_BYTES else None
        except orjson.JSONDecodeError as error:
            if answer.finish_reason == "length":
                verdict = judge(FailureCode.STRUCTURE_CUT_OFF, _cut_off(answer))
                return replace(verdict, is_cut_off=True)
            return judge(FailureCode.INVALID_STRUCTURE, f"no JSON: {error.msg}")
        problem = self._problem(answer, data)
        if problem is not None:
            return judge(FailureCode.INVALID_STRUCTURE, problem)
        return replace(answer, data=data)

    def _counted(self, check: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
        """A keyword's check that stops once all checks of one answer exceed the limit."""

        def run(validator: Any, wanted: Any, data: Any, schema: Any) -> Iterator[Any]:
            self._steps_left -= 1
            if self._steps_left < 0:
                raise _TooMuchError
            yield from check(validator, wanted, data, schema) or ()

        return run

    def _problem(self, answer: Answer, data: Any) -> str | None:
        if len(answer.text) > _MOST_BYTES or not _is_bounded(data):
            return _NO_CAPTION
        self._steps_left = _MOST_STEPS
        try:
            error = next(self._validator.iter_errors(data), None)
        except (RecursionError, _TooMuchError):
            return _NO_CAPTION
        return None if error is None else _misfit_in_words(error)


def structure_of(request: RequestConfig) -> Structure | None:
    """The reader of answers to this request; None if it accepts any text."""
    return None if request.response_schema is None else Structure(request.response_schema)


def _cut_off(answer: Answer) -> str:
    tokens = answer.usage.completion_tokens
    after = f" after {tokens} tokens" if tokens is not None else ""
    return f"max_tokens ended the JSON{after}: raise max_tokens, or ask for less in the prompt"


def _misfit_in_words(error: "ValidationError") -> str:
    """Where the answer does not fit, and by which keyword; the library's message may be long."""
    place = ".".join(map(str, error.absolute_path))[:_PLACE_CHARS] or "the answer"
    return f"{place} does not fit {error.validator} of the schema"


def _is_bounded(data: Any) -> bool:
    parts, level = 1, [data]
    for _ in range(_MOST_DEPTH):
        level = [below for value in level for below in _below(value)]
        parts += len(level)
        if not level or parts > _MOST_PARTS:
            return parts <= _MOST_PARTS
    return False


def _unique_items(_: object, wanted: object, data: object, __: object) -> Iterator[Any]:
    """The keyword in linear time; the library compares each item with each."""
    from jsonschema import ValidationError  # noqa: PLC0415 - as above

    if wanted is True and isinstance(data, list):
        different = {orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in data}
        if len(different) < len(data):
            yield ValidationError("items repeat")


def _below(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
