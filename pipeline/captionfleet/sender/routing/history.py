"""Records the size of a concurrency window over time; pure (main process)."""

from collections.abc import Iterator, Sequence

__all__ = ["WindowHistory", "place_seconds"]

_MOST = 256


class WindowHistory:
    """Sizes by the time of change, thinned out when there are many."""

    def __init__(self, size: int, *, now_s: float) -> None:
        self._started_s = now_s
        self._changes = [(0.0, size)]

    @property
    def changes(self) -> tuple[tuple[float, int], ...]:
        """(seconds since the start, size) at the start and at every change that is kept."""
        return tuple(self._changes)

    def note(self, size: int, now_s: float) -> None:
        """Record the current size."""
        if size == self._changes[-1][1]:
            return
        self._changes.append((round(now_s - self._started_s, 3), size))
        if len(self._changes) > _MOST:
            self._changes = list(_thinned(self._changes))


def _thinned(changes: list[tuple[float, int]]) -> Iterator[tuple[float, int]]:
    yield from changes[:-1:2]
    yield changes[-1]


def place_seconds(history: Sequence[tuple[float, int]], seconds: float) -> float:
    """The window's size integrated over time: the capacity for requests in flight."""
    ends = [*(since for since, _ in history[1:]), seconds]
    spans = zip(history, ends, strict=True)
    return sum(size * max(0.0, min(end, seconds) - since) for (since, size), end in spans)
