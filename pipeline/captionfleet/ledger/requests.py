"""Reads and writes requests.json: the requests behind the captions (main process, in a thread)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from captionfleet.errors import OutputError
from captionfleet.ledger.files.disk import replace_atomically
from captionfleet.ledger.files.names import REQUESTS
from captionfleet.ledger.format.fingerprint import written_facts
from captionfleet.ledger.format.serialising import document
from captionfleet.messages import printable
from captionfleet.system.regular_file import open_regular

__all__ = ["Requests", "load_requests", "save_requests"]


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests by fingerprint; `current` are those whose captions stand, by the request's name.

    `current` is None if the file does not say. A request without a name has the empty one.
    With `is_clear`, the file shows values of extra_body in clear text, as earlier releases wrote
        them.
    """

    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    current: Mapping[str, frozenset[str]] | None = None
    is_clear: bool = False


def load_requests(folder: Path) -> Requests:
    """Read the records of earlier runs; an invalid file counts as missing. Blocks.

    Raises:
        OutputError: the file is there and cannot be read.
    """
    path = folder / REQUESTS
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            record = orjson.loads(file.read())
        facts, current = record["requests"], record.get("names", {"": record["current"]})
        noted = {str(k): dict(v) for k, v in facts.items()}
        written = {key: written_facts(one) for key, one in noted.items()}
        by_name = {str(name): frozenset(map(str, own)) for name, own in current.items()}
        return Requests(written, by_name, is_clear=written != noted)
    except FileNotFoundError:
        return Requests()
    except (ValueError, KeyError, TypeError, AttributeError):
        return Requests()
    except OSError as error:
        raise OutputError(f"cannot read {printable(os.fspath(path))}: {error.strerror}") from None


def save_requests(folder: Path, requests: Requests) -> None:
    """Replace the file. Blocks.

    Raises:
        OutputError: it cannot be written.
    """
    current = {name: sorted(own) for name, own in (requests.current or {}).items()}
    record: dict[str, Any] = {
        "current": sorted({one for own in current.values() for one in own}),
        "requests": dict(requests.facts),
    }
    if any(current):  # a request has a name
        record["names"] = current
    replace_atomically(folder / REQUESTS, iter([document(record)]))
