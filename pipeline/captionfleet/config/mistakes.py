"""What is wrong with a job, in one line that names the key; pure (main process)."""

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

__all__ = ["first_mistake"]

_Location = tuple[int | str, ...]

_WORDS = {
    "missing": "this key is needed",
    "tuple_type": "give a list, as in [1, 2]",
    "string_type": "give text, in quotes",
    "model_type": "this is a table of keys and values",
    "dict_type": "this is a table of keys and values",
}


def first_mistake(error: ValidationError, job: type[BaseModel]) -> str:
    """The first mistake, and how many more there are; `job` is what was to be read."""
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    location, kind = first["loc"], first["type"]
    key = ".".join(str(part) for part in location)
    text = _WORDS.get(kind) or first["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        text = f"unknown key{_meant(location, job)}"
    if location == ("deployments",) and kind == "tuple_type":
        text = "give tables headed [[deployments]], in double brackets"
    more = f" (and {len(others)} more)" if others else ""
    return f"{key}: {text}{more}" if key else f"{text}{more}"


def _meant(location: _Location, job: type[BaseModel]) -> str:
    """The known key that an unknown one resembles, as a hint."""
    *tables, key = (part for part in location if isinstance(part, str))
    table = job
    for name in tables:
        table = _table(table.model_fields[name].annotation)
    alike = get_close_matches(key, table.model_fields, n=1)
    return f", did you mean {alike[0]}?" if alike else ""


def _table(annotation: Any) -> type[BaseModel]:
    """The model in the type of a key: itself, or what a list or an optional key holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(_table(part) for part in annotation.__args__ if part not in {type(None), ...})
