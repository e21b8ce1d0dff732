"""File names in JSON, whatever bytes they hold; pure (main process)."""

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Any

from captionfleet.messages import printable

__all__ = ["name_bytes", "name_fields"]


def name_fields(key: str, name: str) -> dict[str, str]:
    """A file name, with its exact bytes beside it if it is no text."""
    raw, text = os.fsencode(name), printable(name)
    exact = {} if text.encode() == raw else {f"{key}_b64": base64.b64encode(raw).decode()}
    return {key: text} | exact


def name_bytes(record: Mapping[str, Any], key: str) -> bytes | None:
    """The name's exact bytes back from a record; None if it holds none."""
    exact, text = record.get(f"{key}_b64"), record.get(key)
    if isinstance(exact, str):
        try:
            return base64.b64decode(exact, validate=True)
        except binascii.Error:
            return None
    return text.encode() if isinstance(text, str) else None
