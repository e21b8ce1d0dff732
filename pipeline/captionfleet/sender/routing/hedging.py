"""Decides when a second request for the same clip is worth its price; pure (main process)."""

import math
from bisect import bisect_left, insort
from collections import deque

__all__ = ["LEAST_SEEN", "HedgePolicy"]

LEAST_SEEN = 50  # least number of requests for a percentile
_REMEMBERED = 1000
_TAIL_PERCENTILE = 50.0
_MOST = 2.0  # times the share of requests beyond the percentile


class HedgePolicy:
    """Decides by the durations of a run's requests when to hedge one in flight.

    While clips wait, a hedge takes another clip's place: only requests beyond the percentile are
    hedged, and at most twice the share of requests that lies beyond it, so that a fleet that slows
    down as a whole does not get everything twice. Once no clip waits, places are idle and hedges
    cost no time: a request that takes longer than the median may be hedged.

    Args:
        percentile: From 50 to below 100; None turns hedging off.
        least_seen: Requests that must be answered before a percentile counts.
    """

    def __init__(self, percentile: float | None, *, least_seen: int = LEAST_SEEN) -> None:
        self._percentile = percentile
        self._least_seen = least_seen
        self._latest: deque[float] = deque()
        self._sorted: list[float] = []
        self._seen = self._taken = 0

    @property
    def is_on(self) -> bool:
        """Whether hedging is on."""
        return self._percentile is not None

    def answered(self, seconds: float) -> None:
        """Record how long after its first request a clip was answered."""
        self._seen += 1
        self._latest.append(seconds)
        insort(self._sorted, seconds)
        if len(self._latest) > _REMEMBERED:
            del self._sorted[bisect_left(self._sorted, self._latest.popleft())]

    def after_s(self, *, is_tail: bool = False) -> float | None:
        """The age at which a request may be hedged; None while too few were measured."""
        if self._percentile is None or len(self._sorted) < self._least_seen:
            return None
        percentile = _TAIL_PERCENTILE if is_tail else self._percentile
        return self._sorted[math.ceil(percentile / 100 * len(self._sorted)) - 1]

    def take(self) -> bool:
        """Take one hedge from the budget that applies while clips wait; False if it is empty."""
        if self._percentile is None:
            return False
        is_left = self._taken + 1 <= _MOST * (1 - self._percentile / 100) * self._seen
        self._taken += is_left
        return is_left
