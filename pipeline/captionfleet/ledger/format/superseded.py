"""Finds captions lines that a later line of the same clip replaces; pure (main process)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from captionfleet.ledger.files.reading import record_of, text_in

__all__ = ["find_superseded"]


def find_superseded(lines: Iterable[bytes]) -> set[int]:
    """The positions of lines whose clip has a later line of the same request, by either id.

    A line without a record supersedes nothing and is kept. Memory: about 150 bytes for each id of
    each request, while it runs.
    """
    latest: dict[str, dict[int, int]] = defaultdict(dict)
    superseded = set()
    for position, line in enumerate(lines):
        record = record_of(line)
        of_request = latest[text_in(record, "request")]
        for identity in _ids(record):
            earlier = of_request.get(identity, position)
            if earlier != position:
                superseded.add(earlier)
            of_request[identity] = position
    return superseded


def _ids(record: dict[str, Any]) -> Iterator[int]:
    for key in ("clip_id", "stat_id"):
        try:
            yield int(record[key], 16)
        except (KeyError, TypeError, ValueError):
            continue
