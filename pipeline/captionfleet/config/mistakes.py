"""Formats the errors of a job file as one line that names each key; pure (main process)."""

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

__all__ = ["mistakes"]

_Location = tuple[int | str, ...]

_WORDS = {
    "missing": "this key is needed",
    "tuple_type": "give a list, in square brackets",
    "string_type": "give text, in quotes",
    "model_type": "this is a table of keys and values",
    "dict_type": "this is a table of keys and values",
}


_MOST = 5  # more are usually repetitions of one mistake


def mistakes(error: ValidationError, job: type[BaseModel]) -> str:
    """The first few mistakes in one line, and the number of further ones.

    `job` is the model that validation tried to build.
    """
    found: list[Any] = [
        *error.errors(include_url=False, include_context=False, include_input=False)
    ]
    if any(one["loc"][:1] == ("requests",) for one in found):  # the first table is also `request`
        found = [one for one in found if one["loc"][:1] != ("request",)]
    said = list(dict.fromkeys(_mistake(one, job) for one in found))
    more = f" (and {len(said) - _MOST} more)" if len(said) > _MOST else ""
    return "; ".join(said[:_MOST]) + more


def _mistake(one: Any, job: type[BaseModel]) -> str:
    location, kind = one["loc"], one["type"]
    head = ("request",) if location[:1] == ("requests",) else location[:1]
    key = ".".join(str(part) for part in (*head, *location[1:]))
    text = _WORDS.get(kind) or one["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        text = f"unknown key{_meant(location, job)}"
    if location == ("deployments",) and kind == "tuple_type":
        text = "give tables headed [[deployments]], in double brackets"
    elif kind == "tuple_type" and _holds_text(location, job):
        text = 'give a list of text, as in ["a", "b"]'
    return f"{key}: {text}" if key else text


def _holds_text(location: _Location, job: type[BaseModel]) -> bool:
    """Whether the key expects a list of text or paths."""
    *tables, key = (part for part in location if isinstance(part, str))
    table = job
    for name in tables:
        table = _table(table.model_fields[name].annotation)
    return any(word in str(table.model_fields[key].annotation) for word in ("str", "Path"))


def _meant(location: _Location, job: type[BaseModel]) -> str:
    """The known key that an unknown one resembles, as a hint."""
    *tables, key = (part for part in location if isinstance(part, str))
    table = job
    for name in tables:
        table = _table(table.model_fields[name].annotation)
    alike = get_close_matches(key, table.model_fields, n=1)
    return f", did you mean {alike[0]}?" if alike else ""


def _table(annotation: Any) -> type[BaseModel]:
    """The model behind a key's type: the type itself, or the item of a list or of an optional."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(_table(part) for part in annotation.__args__ if part not in {type(None), ...})
