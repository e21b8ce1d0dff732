"""Formats numbers, durations and sizes for people; pure."""

import re

__all__ = [
    "UNKNOWN",
    "adds_to",
    "count",
    "percent",
    "rough",
    "seconds",
    "share",
    "short",
    "size",
    "three_digits",
]

UNKNOWN = "\N{EN DASH}"
_MINUTE_S, _HOUR_S = 60, 3600
_TEN_THOUSAND = 1e4
_TEN_MS, _TWO_DIGITS, _THREE_DIGITS, _ONE_PERCENT = 0.01, 10, 100, 0.01
_FILLERS = frozenset("a an and are by for in is it of on that the this to was were with".split())
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_ROUNDS_UP = 0.9995  # in three digits, this share of a unit rounds to one


def three_digits(number: float, *, plain_below: float = 1e3) -> str:
    """Three digits with a letter for the power of a thousand: 13.1k; whole numbers below it."""
    for unit, letter in _UNITS:
        if abs(number) >= max(_ROUNDS_UP * unit, plain_below):
            return f"{number / unit:.3g}{letter}"
    return f"{number:,.0f}"


def count(number: float | None) -> str:
    """A whole number with a separator between thousands."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def short(number: float | None) -> str:
    """Three significant digits with a letter for the power of a thousand: 13.1k."""
    if number is None:
        return UNKNOWN
    is_whole = number == int(number) or abs(number) >= _THREE_DIGITS
    return three_digits(number, plain_below=_TEN_THOUSAND) if is_whole else f"{number:.3g}"


def seconds(value: float | None) -> str:
    """A duration in the unit that fits its size: 3.1 ms, 4.20 s, 5 min 3 s, 2 h 5 min."""
    if value is None:
        return UNKNOWN
    if value < 1:
        return f"{value * 1000:.0f} ms" if value >= _TEN_MS else f"{value * 1000:.2g} ms"
    if value < _MINUTE_S:
        return f"{value:.1f} s" if value >= _TWO_DIGITS else f"{value:.2f} s"
    minutes, left_s = divmod(int(value), _MINUTE_S)
    if value < _HOUR_S:
        return f"{minutes} min {left_s} s" if left_s else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"


def rough(value: float) -> str:
    """A duration that is an estimate: 40 s, 17 min, 2 h 5 min, 3 days 4 h."""
    if value < _MINUTE_S:
        return f"{value:.0f} s"
    minutes = round(value / _MINUTE_S)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:  # noqa: PLR2004 - a day
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days:,} day{'s' * (days > 1)}" + (f" {hours} h" if hours else "")


def size(number_of_bytes: float | None) -> str:
    """Bytes in powers of ten: 1.2 MB."""
    if number_of_bytes is None:
        return UNKNOWN
    digits = three_digits(number_of_bytes)
    return f"{digits[:-1]} {digits[-1]}B" if digits[-1].isalpha() else f"{digits} B"


def percent(value: float | None) -> str:
    """A share of 1 as a percentage."""
    if value is None:
        return UNKNOWN
    return f"{value:.1%}" if 0 < value < _ONE_PERCENT else f"{value:.0%}"


def share(part: float, whole: float) -> float:
    """`part` over `whole`; 0 if `whole` is 0."""
    return part / whole if whole else 0.0


def adds_to(meaning: str, detail: str) -> bool:
    """Whether `detail` holds a significant word that is missing from `meaning`."""
    return not _words(detail) <= _words(meaning)


def _words(said: str) -> set[str]:
    return set(re.findall(r"\w+|[^\w\s]{2,}", said.lower())) - _FILLERS
