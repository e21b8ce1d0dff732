"""Distinguishes losses at a server's capacity from losses at any load; pure (main process)."""

import math

__all__ = ["Suspicion"]

_AT_END = 0.8  # share of requests above capacity that are lost; others find a free place
_FIRST_SHARE, _LEAST_SHARE, _MOST_SHARE = 0.04, 0.02, 0.3  # share of requests lost at any load
_WEIGHT = 0.02  # weight of the newest request in that share, known after some 50
_FAULT_WEIGHT = 0.3  # weight of another fault: a server with many 500s also sends stray 429s
_SURE = 3.2  # log odds (25 to 1): two losses of an unknown server, one of a faultless one


class Suspicion:
    """A sequential test (A. Wald, 1945) of "the server is full" against "it fails at any load".

    Every loss, and every caption of a request at the highest level, moves the log odds by its
    weight. The share lost at any load is learned meanwhile. So one refusal is enough from a server
    that never refused before, and three in a row from one that refuses at random.
    """

    def __init__(self) -> None:
        self._log_odds = 0.0
        self._share = _FIRST_SHARE

    def __repr__(self) -> str:
        return f"Suspicion(log_odds={self._log_odds:.2f}, share={self._share:.3f})"

    def faulted(self) -> None:
        """Record a failure that has nothing to do with load."""
        self._learn(_FAULT_WEIGHT)

    def taken(self, *, at_top: bool) -> None:
        """Record a caption; `at_top` means that its request took the last place, or one above."""
        if at_top:
            self._log_odds += math.log((1 - _AT_END) / (1 - self._share))
            self._log_odds = max(self._log_odds, 0.0)
        self._share = max(self._share * (1 - _WEIGHT), _LEAST_SHARE)

    def lost(self, *, is_known_end: bool) -> bool:
        """Record a lost request; return whether the server is full.

        `is_known_end`: a limit was found there before, so the loss does not count towards the
        share.
        """
        self._log_odds += math.log(_AT_END / self._share)
        if not is_known_end:
            self._learn(1.0)
        is_end = self._log_odds >= _SURE
        self._log_odds = min(self._log_odds, _SURE)
        return is_end

    def _learn(self, part: float) -> None:
        self._share = min(self._share + part * _WEIGHT * (1 - self._share), _MOST_SHARE)
