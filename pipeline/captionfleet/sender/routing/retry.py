"""Computes waits before retries: full jitter, Retry-After, a budget for the run; pure (main)."""

from captionfleet.sender.routing.verdict import MAX_RETRY_AFTER_S

__all__ = ["RetryBudget", "backoff_s"]

_BASE_S = 0.5
_CAP_S = 30.0


def backoff_s(
    failures: int, *, jitter: float, floor_s: float = 0.0, in_budget: bool = True
) -> float:
    """Seconds to wait after this many failures, which is at least 1.

    Full jitter (uniform from 0) spreads a burst of failures best. `floor_s` is the server's
    Retry-After; the jitter is added to it, so that clips with the same Retry-After do not return in
    the same second. Out of budget, the wait lies between half the cap and the cap.

    Args:
        failures: Failed attempts of this clip so far.
        jitter: Uniform in [0, 1).
        floor_s: Least wait.
        in_budget: Whether the run may still afford quick retries.
    """
    if not in_budget:
        return max(floor_s, _CAP_S / 2) + jitter * _CAP_S / 2
    ceiling_s = min(_CAP_S, _BASE_S * 2.0 ** min(failures - 1, 16))
    return min(max(floor_s, 0.0), MAX_RETRY_AFTER_S) + jitter * ceiling_s


class RetryBudget:
    """Quick retries earned by captions: one for two, and 50 to begin with.

    A working fleet earns its retries at once, even where a third of its answers fail. A fleet that
    fails everything spends the 50 and is then asked at the slowest pace. No clip fails for lack of
    budget: its number of attempts stays the job's. The initial 50 cover a deployment that dies with
    50 requests in flight.
    """

    def __init__(self, *, reserve: float = 50.0, share: float = 0.5) -> None:
        self._reserve = reserve
        self._share = share
        self._left = reserve

    def earn(self) -> None:
        """Record a captioned clip."""
        self._left = min(self._left + self._share, 2 * self._reserve)

    def spend(self) -> bool:
        """Take one retry from the budget; False if it is empty."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
