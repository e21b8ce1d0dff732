"""Which captions lines a later line of the same clip replaces; pure (main process, a thread)."""

from collections.abc import Iterable, Iterator

from captionfleet.ledger.files.reading import record_of

__all__ = ["find_superseded"]


def find_superseded(lines: Iterable[bytes]) -> set[int]:
    """The positions of lines whose clip a later line holds, by either of its ids.

    A line that is no record supersedes nothing and is kept. Memory: about 150 bytes for each id,
    while it runs.
    """
    latest: dict[int, int] = {}
    superseded = set()
    for position, line in enumerate(lines):
        for identity in _ids(line):
            earlier = latest.get(identity, position)
            if earlier != position:
                superseded.add(earlier)
            latest[identity] = position
    return superseded


def _ids(line: bytes) -> Iterator[int]:
    record = record_of(line)
    for key in ("clip_id", "stat_id"):
        try:
            yield int(record[key], 16)
        except (KeyError, TypeError, ValueError):
            continue
