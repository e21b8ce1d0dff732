"""Computes waits before retries: full jitter, Retry-After, a budget for the run; pure (main)."""

from dataclasses import dataclass

from captionfleet.sender.routing.verdict import MAX_RETRY_AFTER_S

__all__ = ["Backoff", "RetryBudget"]

_RESERVE = 50.0  # covers a deployment that dies with 50 requests in flight
_SHARE = 0.5  # a fleet that fails a third of its answers still earns its retries


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a failed clip waits before its next request.

    Attributes:
        base_s: The longest wait after the first failure; it doubles with each further one.
        cap_s: The longest wait after any failure.
        earned_cap_s: The longest wait while captions earn the retries: deployments work then, and
            a clip that failed four times by chance gains nothing from waiting longer.
        reserve: Quick retries that a run has at its start.
        share: Quick retries that each caption earns.
    """

    base_s: float = 0.5
    cap_s: float = 30.0
    earned_cap_s: float = 1.0
    reserve: float = _RESERVE
    share: float = _SHARE

    def wait_s(
        self,
        failures: int,
        *,
        jitter: float,
        floor_s: float = 0.0,
        in_budget: bool = True,
        is_earned: bool = False,
    ) -> float:
        """Seconds to wait after this many failures, which is at least 1.

        Full jitter (uniform from 0) spreads a burst of failures best. `floor_s` is the server's
        Retry-After; the jitter is added to it, so that clips with the same Retry-After do not
        return in the same second. Out of budget, the wait lies between half the cap and the cap.

        Args:
            failures: Failed attempts of this clip so far.
            jitter: Uniform in [0, 1).
            floor_s: Least wait.
            in_budget: Whether the run may still afford quick retries.
            is_earned: Whether captions earn the retries.
        """
        if not in_budget:
            return max(floor_s, self.cap_s / 2) + jitter * self.cap_s / 2
        cap_s = min(self.cap_s, self.earned_cap_s) if is_earned else self.cap_s
        ceiling_s = min(cap_s, self.base_s * 2.0 ** min(failures - 1, 16))
        return min(max(floor_s, 0.0), MAX_RETRY_AFTER_S) + jitter * ceiling_s

    def budget(self) -> "RetryBudget":
        """The full budget of a run that begins."""
        return RetryBudget(reserve=self.reserve, share=self.share)


class RetryBudget:
    """Quick retries earned by captions: one for two, and 50 to begin with.

    A working fleet earns its retries at once. A fleet that fails everything spends the 50, and then
    gets requests at the slowest rate. No clip fails for lack of budget: the job sets its number of
    attempts.
    """

    def __init__(self, *, reserve: float = _RESERVE, share: float = _SHARE) -> None:
        self._reserve = reserve
        self._share = share
        self._left = reserve

    @property
    def is_earned(self) -> bool:
        """Whether captions come often enough for the retries."""
        return self._left >= self._reserve / 2

    def earn(self) -> None:
        """Record a captioned clip."""
        self._left = min(self._left + self._share, 2 * self._reserve)

    def spend(self) -> bool:
        """Take one retry from the budget; False if it is empty."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
