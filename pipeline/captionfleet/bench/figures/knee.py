"""Searches the fewest requests in flight that nearly reach the best rate; pure (main process)."""

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Knee", "Search"]

_GAIN = 0.1  # least part of the ideal gain in rate that more in flight must bring
_ENOUGH = 0.95  # of the best rate
_CLOSE = 0.06  # width of what is left to search, for its upper end
_CHANGED = 0.1
_MOST_ERRORS = 0.02
_RESTARTS = 2


class _Step(StrEnum):
    CLIMB = "climb"
    NARROW = "narrow"
    CONFIRM = "confirm"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Knee:
    """The fewest requests in flight that reach 95 % of the best rate, and the rate there.

    Attributes:
        is_end: Whether more would not have helped; False where the search stopped at its ceiling,
            so that the deployment may take more.
        changed: Whether the deployment changed during the search, which then started again.
    """

    in_flight: int
    clips_per_s: float
    is_end: bool
    changed: bool


@dataclass(slots=True)
class Search:
    """Doubles the load while that helps, then bisects, then measures once more.

    A load with more than 2 % errors is measured again, as a deployment may lose a replica at any
    time; if the errors repeat, it is beyond the capacity.
    """

    ceiling: int
    first: int = 1
    _rates: dict[int, float] = field(default_factory=dict)
    _step: _Step = _Step.CLIMB
    _wanted: int = 0
    _again: int = 0
    _restarts: int = 0
    _met_end: bool = False

    def __post_init__(self) -> None:
        self._wanted = min(max(self.first, 1), self.ceiling)

    @property
    def wanted(self) -> int | None:
        """The load to measure next, in requests in flight; None once the knee is known."""
        return None if self._step is _Step.DONE else self._wanted

    @property
    def restarts(self) -> int:
        """How often the deployment changed, so that the search started again."""
        return self._restarts

    def add(self, clips_per_s: float, *, error_share: float = 0.0) -> None:
        """Record the rate at the wanted load."""
        has_errors = error_share > _MOST_ERRORS
        if has_errors and self._again != self._wanted:
            self._again = self._wanted
            return
        match self._step:
            case _Step.CLIMB:
                self._climbed(clips_per_s, has_errors=has_errors)
            case _Step.NARROW:
                self._rates[self._wanted] = 0.0 if has_errors else clips_per_s
                self._narrow()
            case _Step.CONFIRM:
                self._confirmed(clips_per_s)
            case _Step.DONE:
                raise RuntimeError("the search is over")

    def knee(self) -> Knee | None:
        """The knee, or the best known so far if the search was interrupted.

        None before the first result, and where no load brought a caption.
        """
        if not any(self._rates.values()):
            return None
        enough = self._enough()
        return Knee(enough, self._rates[enough], self._met_end, self._restarts > 0)

    def _climbed(self, rate: float, *, has_errors: bool) -> None:
        below = max(self._rates, default=0)
        before = self._rates.get(below, 0.0)
        growth = self._wanted / below if below else 1.0
        self._rates[self._wanted] = 0.0 if has_errors and before else rate
        self._met_end = has_errors or rate < (1 + _GAIN * (growth - 1)) * before
        if self._met_end or self._wanted == self.ceiling:
            self._narrow()
        else:
            self._wanted = min(2 * self._wanted, self.ceiling)

    def _narrow(self) -> None:
        high = self._enough()
        low = max((load for load in self._rates if load < high), default=0)
        if high - low <= max(1.0, _CLOSE * high):
            self._step, self._wanted = _Step.CONFIRM, high
        else:
            self._step, self._wanted = _Step.NARROW, (low + high) // 2

    def _confirmed(self, rate: float) -> None:
        known = self._rates[self._wanted]
        if abs(rate - known) <= _CHANGED * known or self._restarts == _RESTARTS:
            self._step = _Step.DONE
            return
        self._restarts += 1
        self._rates, self._step, self._met_end = {}, _Step.CLIMB, False
        self._wanted = max(1, self._wanted // 4)

    def _enough(self) -> int:
        """The smallest load that nearly reaches the best rate.

        The best rate is the mean of those near the highest: the highest of several measurements of
        one plateau is too high.
        """
        highest = max(self._rates.values())
        plateau = [rate for rate in self._rates.values() if rate >= _ENOUGH * highest]
        best = sum(plateau) / len(plateau)
        return min(load for load, rate in self._rates.items() if rate >= _ENOUGH * best)
