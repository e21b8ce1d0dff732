"""Reads the clips that stand failed, for `captionfleet failures` (main process)."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captionfleet import text
from captionfleet.errors import ConfigError, FailureCode
from captionfleet.ledger.files.names import FAILURES
from captionfleet.ledger.files.reading import raw_lines, record_of, text_in
from captionfleet.messages import for_terminal, printable
from captionfleet.names import name_bytes

__all__ = ["Standing", "failures_text", "read_standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One clip that stands failed; `path` is None in lines of early versions.

    `request` is the name of the request that failed, where the job has several.
    """

    source: str
    path: bytes | None
    stage: str
    code: FailureCode
    detail: str
    attempts: int
    request: str = ""


def read_standing(folder: Path, code: FailureCode | None = None) -> list[Standing]:
    """The failures of an output folder, with this code or any. Blocks.

    The latest line of each clip and request counts. A run may be writing meanwhile: invalid lines
    are skipped.

    Raises:
        ConfigError: the folder is not an output folder.
    """
    latest: dict[tuple[str, str], Standing] = {}
    for record in _records(folder / FAILURES):
        one = _standing(record)
        if one is not None:
            latest[str(record.get("clip_id")), one.request] = one
    return [one for one in latest.values() if code in {None, one.code}]


def failures_text(failures: list[Standing]) -> str:
    """Counts by code with the code's meaning, then a line for every failure."""
    if not failures:
        return "no clip stands failed"
    counts = Counter(one.code for one in failures).most_common()
    width = max(len(code) for code, _ in counts)
    summary = [
        f"{count:>7,}  {code:<{width}}  {_permanence(code)}  {code.meaning}"
        for code, count in counts
    ]
    order = {code: rank for rank, (code, _) in enumerate(counts)}
    ranked = sorted(failures, key=lambda one: (order[one.code], one.source))
    each = [f"{one.code:<{width}}  {_clip(one)}{_detail(one)}" for one in ranked]
    return "\n".join([*summary, "", *each])


def _clip(one: Standing) -> str:
    named = f" [{for_terminal(one.request)}]" if one.request else ""
    return f"{for_terminal(one.source)}{named}"


def _detail(one: Standing) -> str:
    """The details, unless they only repeat the code's meaning."""
    says_more = text.adds_to(one.code.meaning, one.detail)
    return f"  ({for_terminal(one.detail)})" if says_more else ""


def _permanence(code: FailureCode) -> str:
    return "permanent  " if code.permanent else "tried again"


def _records(path: Path) -> Iterator[dict[str, Any]]:
    try:
        for _, line in raw_lines(path):
            yield record_of(line)
    except OSError as error:
        where = printable(os.fspath(path))
        raise ConfigError(f"{where}: {error.strerror}: is this an output folder?") from None


def _standing(record: dict[str, Any]) -> Standing | None:
    try:
        return Standing(
            source=str(record["source"]),
            path=name_bytes(record, "path"),
            stage=str(record["stage"]),
            code=FailureCode(record["code"]),
            detail=str(record["detail"]),
            attempts=int(record["attempts"]),
            request=text_in(record, "request"),
        )
    except (KeyError, ValueError, TypeError):
        return None
