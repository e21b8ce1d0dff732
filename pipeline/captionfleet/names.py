"""Writes file names to JSON and reads them back, even if they are not UTF-8; pure."""

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Any

from captionfleet.messages import printable

__all__ = ["exact_bytes", "name_bytes", "name_fields"]


def exact_bytes(name: str) -> str:
    """The file name's bytes in base64 if they are not valid UTF-8; else empty."""
    raw = os.fsencode(name)
    return "" if printable(name).encode() == raw else base64.b64encode(raw).decode()


def name_fields(key: str, name: str) -> dict[str, str]:
    """The file name under `key`, and its exact bytes under KEY_b64 if it is not valid UTF-8."""
    exact = exact_bytes(name)
    return {key: printable(name)} | ({f"{key}_b64": exact} if exact else {})


def name_bytes(record: Mapping[str, Any], key: str) -> bytes | None:
    """The file name's exact bytes from a record; None if the record holds none."""
    exact, text = record.get(f"{key}_b64"), record.get(key)
    if isinstance(exact, str) and exact:
        try:
            return base64.b64decode(exact, validate=True)
        except binascii.Error:
            return None
    return text.encode() if isinstance(text, str) else None
