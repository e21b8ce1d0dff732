"""Reads JSON values that an untrusted server wrote; pure (main process)."""

import json
import math
from typing import Any

import orjson

__all__ = ["NOT_JSON", "count_of", "loads", "number_of"]

NOT_JSON = object()
"""What `loads` returns for bytes that are not JSON."""
_MAX_COUNT = 2**53  # integers above are not exact in JSON (RFC 8259, 6)
_MAX_NUMBER_CHARS = 40


def loads(raw: bytes) -> Any:
    """The value, also after a byte order mark and in UTF-16 or UTF-32; `NOT_JSON` if invalid."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        # The standard library accepts NaN, lone surrogates and large integers, which orjson
        # refuses.
        return json.loads(raw.decode(json.detect_encoding(raw), "replace"))
    except (ValueError, RecursionError):
        return NOT_JSON


def count_of(value: object) -> int | None:
    """A whole number of at least 0, even if written as text or float; else None."""
    number = number_of(value)
    return int(number) if number is not None and 0 <= number < _MAX_COUNT else None


def number_of(value: object) -> float | None:
    """A finite number, even if written as text; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > _MAX_NUMBER_CHARS:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
