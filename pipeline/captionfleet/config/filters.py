"""Parses filters on output lines, such as flag=truncated, and applies them; pure (main process)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from captionfleet.errors import FailureCode

__all__ = ["Filter", "parse_filter"]

_FORM = re.compile(r"(\w+)\s*(!=|>=|<=|=|<|>)(.*)", re.DOTALL)
_KEYS = ("code", "deployment", "flag", "model", "path", "request", "time")
_ORDERED = frozenset({"time"})


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition; if it lists several values with commas, one of them must match."""

    key: str
    operator: str
    values: tuple[str, ...]

    def admits(self, facts: Mapping[str, Iterable[str]]) -> bool:
        """Whether a line matches.

        `facts` holds the line's values by key, times as ISO 8601 in UTC.
        """
        there = list(facts.get(self.key, ()))
        if self.operator == "!=":
            return not self._holds(there)
        return self._holds(there)

    def _holds(self, there: list[str]) -> bool:
        if self.key == "time":
            return any(self._is_in_time(one) for one in there)
        if self.key == "path":
            return any(fnmatchcase(one, value) for one in there for value in self.values)
        return not set(self.values).isdisjoint(there or [""])

    def _is_in_time(self, one: str) -> bool:
        value = self.values[0]
        match self.operator:
            case ">=":
                return one >= value
            case "<=":
                return one <= value or one.startswith(value)
            case ">":
                return one > value and not one.startswith(value)
            case "<":
                return one < value
            case _:
                return one.startswith(value)


def parse_filter(text: str) -> Filter:
    """Read KEY=VALUE, KEY!=VALUE, or, for times, also KEY>=VALUE and the like.

    Raises:
        ValueError: the text is not a filter; the message shows the form of one.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None or found[1] not in _KEYS:
        raise ValueError(f"{text}: give KEY=VALUE or KEY!=VALUE; the keys are {', '.join(_KEYS)}")
    key, operator, value = found.groups()
    if operator not in {"=", "!="} and key not in _ORDERED:
        raise ValueError(f"{text}: {key} takes only = and !=")
    if key == "time":
        return Filter(key, operator, (_instant(value),))
    values = tuple(value.split(","))
    if key == "code" and (unknown := set(values) - {"", *map(str, FailureCode)}):
        raise ValueError(f"{text}: {min(unknown)} is not a failure code")
    return Filter(key, operator, values)


def _instant(value: str) -> str:
    """A day, in the form that begins the lines' times, or a moment in UTC to the second."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{value}: give a time as 2026-11-25 or 2026-11-25T06:00") from None
    if re.fullmatch(r"[\d-]+", value):
        return moment.strftime("%Y-%m-%d")
    known = moment.astimezone(UTC) if moment.tzinfo else moment
    return known.strftime("%Y-%m-%dT%H:%M:%S")
