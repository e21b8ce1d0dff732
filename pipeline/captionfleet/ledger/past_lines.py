"""Reads lines that earlier runs wrote to an output folder (main process, in a thread)."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from captionfleet.errors import FailureCode, OutputError
from captionfleet.ledger.files.names import FAILURES
from captionfleet.ledger.files.reading import id_in, raw_lines, record_of
from captionfleet.messages import printable

__all__ = ["failures_in", "past_lines"]


def failures_in(output_dir: Path) -> Iterator[tuple[int, FailureCode, dict[str, Any]]]:
    """The lines of failures.jsonl that name a clip and a known code. Blocks.

    Raises:
        OutputError: the file is there and cannot be read.
    """
    for line in past_lines(output_dir / FAILURES):
        record = record_of(line)
        identity, code = id_in(record), _code(record)
        if identity is not None and code is not None:
            yield identity, code, record


def past_lines(path: Path) -> Iterator[bytes]:
    """The lines of an output file; none if it is missing. Blocks.

    Raises:
        OutputError: the file is there and cannot be read.
    """
    try:
        for _, line in raw_lines(path):
            yield line
    except FileNotFoundError:
        return
    except OSError as error:
        where = printable(os.fspath(path))
        raise OutputError(f"{where}: cannot read which clips are done: {error.strerror}") from None


def _code(record: dict[str, Any]) -> FailureCode | None:
    try:
        return FailureCode(record.get("code", ""))
    except ValueError:
        return None
