"""When a second request for the same clip is worth its price (main process; pure)."""

import math
from bisect import bisect_left, insort
from collections import deque

__all__ = ["HedgePolicy"]

_LEAST_SEEN = 50  # requests that make a percentile
_REMEMBERED = 1000
_TAIL_PERCENTILE = 50.0
_MOST = 2.0  # so many times the share that the percentile itself lets through


class HedgePolicy:
    """Times of the requests of a run, and what they say of one that is still out.

    While clips wait, a place that a hedge takes is another clip's: only requests past the
    percentile are hedged, and of all requests at most twice the share that lies past it, so that
    a fleet that slows down as a whole is not asked for everything twice. Once none waits, places
    are idle and hedges cost no time: what takes longer than the median may be hedged.

    Args:
        percentile: From 50 to under 100; None hedges nothing.
    """

    def __init__(self, percentile: float | None) -> None:
        self._percentile = percentile
        self._latest: deque[float] = deque()
        self._sorted: list[float] = []
        self._seen = self._taken = 0

    @property
    def is_on(self) -> bool:
        """Whether anything may ever be hedged."""
        return self._percentile is not None

    def answered(self, seconds: float) -> None:
        """A clip had its answer so long after its first request went out."""
        self._seen += 1
        self._latest.append(seconds)
        insort(self._sorted, seconds)
        if len(self._latest) > _REMEMBERED:
            del self._sorted[bisect_left(self._sorted, self._latest.popleft())]

    def after_s(self, *, is_tail: bool = False) -> float | None:
        """The age at which a request may be hedged; None while too little is known."""
        if self._percentile is None or len(self._sorted) < _LEAST_SEEN:
            return None
        percentile = _TAIL_PERCENTILE if is_tail else self._percentile
        return self._sorted[math.ceil(percentile / 100 * len(self._sorted)) - 1]

    def take(self) -> bool:
        """Whether one more hedge while clips wait is in the budget, which it then leaves."""
        if self._percentile is None:
            return False
        is_left = self._taken + 1 <= _MOST * (1 - self._percentile / 100) * self._seen
        self._taken += is_left
        return is_left
