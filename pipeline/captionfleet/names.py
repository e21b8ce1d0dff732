"""File names in JSON, whatever bytes they hold; pure (main process)."""

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Any

from captionfleet.messages import printable

__all__ = ["exact_bytes", "name_bytes", "name_fields"]


def exact_bytes(name: str) -> str:
    """A file name's bytes in base64 where they are no UTF-8; else empty."""
    raw = os.fsencode(name)
    return "" if printable(name).encode() == raw else base64.b64encode(raw).decode()


def name_fields(key: str, name: str) -> dict[str, str]:
    """A file name, with its exact bytes beside it if it is no text."""
    exact = exact_bytes(name)
    return {key: printable(name)} | ({f"{key}_b64": exact} if exact else {})


def name_bytes(record: Mapping[str, Any], key: str) -> bytes | None:
    """The name's exact bytes back from a record; None if it holds none."""
    exact, text = record.get(f"{key}_b64"), record.get(key)
    if isinstance(exact, str) and exact:
        try:
            return base64.b64decode(exact, validate=True)
        except binascii.Error:
            return None
    return text.encode() if isinstance(text, str) else None
