"""Finds the number of requests to keep in flight at one deployment; pure (main process).

The number grows by one with every caption while the rate of captions rises with it. Then it is
held, and from time to time slightly larger or smaller numbers are tried. Refusals (429, 503) show
the limit at once; a queueing server shows it by a rate that no longer rises, or by the queue time
that it reports.
"""

import math
from enum import StrEnum

from captionfleet.sender.routing.climb import Climb
from captionfleet.sender.routing.congestion import CongestionWindow
from captionfleet.sender.routing.history import WindowHistory
from captionfleet.sender.routing.rate import Rate

__all__ = ["AdaptiveWindow", "FixedWindow"]

_START = 16  # most replicas take this many; a smaller one refuses the rest at no cost
_MEASURED = 24  # captions that make half a rate, at least
_PAUSE, _LONGEST_PAUSE = 64, 1024  # captions between two trials
_SHARE = 0.15  # least part of a small trial's ideal gain
_SAME = 0.97  # a rate that is as good as before
_CROWDED = 0.67  # rate per place, relative to the best, below which a queue is likely
_QUEUE_S, _QUEUE_WEIGHT = 0.5, 0.3  # acceptable queue time; weight of the newest report
_SHALLOW = 0.8  # with less of the window in use, a rate says nothing about it


class FixedWindow:
    """A fixed number of requests in flight, from the job file."""

    def __init__(self, size: int, *, now_s: float = 0.0) -> None:
        self.size = size
        self._history = WindowHistory(size, now_s=now_s)

    @property
    def history(self) -> tuple[tuple[float, int], ...]:
        """(seconds since the start, size) at the start and at each change of the ceiling."""
        return self._history.changes

    def follow(self, ceiling: int, now_s: float, *, in_flight: int) -> bool:  # noqa: ARG002 - as below
        """Use this number from now on; return whether it changed."""
        if ceiling == self.size:
            return False
        self.size = ceiling
        self._history.note(ceiling, now_s)
        return True

    def succeeded(
        self,
        now_s: float,
        *,
        started_s: float,
        in_flight: int,
        level: int,
        queue_s: float | None = None,
    ) -> None:
        """Ignored: the number is fixed."""

    def faulted(self) -> None:
        """Ignored: the number is fixed."""

    def refused(self, now_s: float, *, started_s: float, in_flight: int, level: int) -> None:
        """Ignored: the number is fixed."""

    def timed_out(self, now_s: float, *, started_s: float, in_flight: int, level: int) -> None:
        """Ignored: the number is fixed."""


class Trial(StrEnum):
    """The state of an adaptive window."""

    CLIMB = "climb"
    """One more place for every caption, while the rate rises."""
    UP = "up"
    DOWN = "down"
    HELD = "held"


class AdaptiveWindow:
    """Finds the smallest window that reaches nearly the best rate, at most `ceiling`.

    In every method `in_flight` is the number of requests in flight now, the ended one included.
    That one was sent at `started_s`, and `level` is the number in flight then, itself included.
    """

    def __init__(self, ceiling: int, *, now_s: float) -> None:
        self._ceiling = ceiling
        self._wanted = min(_START, ceiling)  # by the rate alone
        self._open = CongestionWindow(self._wanted)  # what refusals leave of it
        self._history = WindowHistory(self._wanted, now_s=now_s)
        self._good = self._wanted  # the window to return to when a trial fails
        self._good_rate = 0.0
        self._best_per_place = 0.0
        self._trial = Trial.CLIMB
        self._climb = Climb(self._wanted, now_s)
        self._step = 1
        self._next_trial = Trial.UP
        self._pause = _PAUSE
        self._held = 0
        self._is_refused = self._is_cut = False  # ever; and the climb by an end that was found
        self._queue_s = 0.0
        self._rate = Rate(0, max(_MEASURED, self._wanted), since_s=now_s)

    def __repr__(self) -> str:
        return (
            f"AdaptiveWindow({self._trial}, wanted={self._wanted}, good={self._good} at "
            f"{self._good_rate:.2f}/s, {self._open})"
        )

    @property
    def size(self) -> int:
        """The number of requests that may be in flight now."""
        return self._open.size

    @property
    def history(self) -> tuple[tuple[float, int], ...]:
        """(seconds since the start, window) at every change, thinned out when it gets long."""
        return self._history.changes

    def follow(self, ceiling: int, now_s: float, *, in_flight: int) -> bool:
        """Apply a new ceiling after replicas were added or removed; each keeps its capacity.

        The window moves in proportion. Earlier measurements no longer apply: after growth the climb
        restarts from here, after a loss the window is held.

        Returns:
            Whether the ceiling changed.
        """
        if ceiling == self._ceiling:
            return False
        share, has_grown = ceiling / self._ceiling, ceiling > self._ceiling
        self._ceiling = ceiling
        self._want(round(self._wanted * share), now_s)
        self._good, self._good_rate = self._wanted, 0.0
        self._step, self._pause, self._held, self._next_trial = 1, _PAUSE, 0, Trial.UP
        if has_grown:
            self._begin_climb(now_s)
        else:
            self._trial = Trial.HELD
        self._measure(now_s, skip=in_flight)
        self._history.note(self.size, now_s)
        return True

    def succeeded(
        self,
        now_s: float,
        *,
        started_s: float,
        in_flight: int,
        level: int,
        queue_s: float | None = None,
    ) -> None:
        """Record a caption; `queue_s` is the server's own queue time if it reports one."""
        self._held += 1
        if queue_s is not None:
            self._queue_s += _QUEUE_WEIGHT * (queue_s - self._queue_s)
        is_full = in_flight >= self.size
        if self._open.answered(now_s, started_s=started_s, level=level) and self._is_cut:
            self._is_cut = False
            self._begin_climb(now_s)
        self._wanted = max(self._wanted, self.size)
        if self._trial is Trial.CLIMB:
            self._climb_on(now_s, started_s=started_s, in_flight=in_flight, is_full=is_full)
        elif self.size < _SHALLOW * self._wanted:
            self._measure(now_s, skip=in_flight)
        elif (rate := self._rate.count(now_s, is_full=is_full)) is not None:
            self._learn(rate, in_flight, now_s)
        self._history.note(self.size, now_s)

    def faulted(self) -> None:
        """Record a failure that is unrelated to load."""
        self._open.faulted()

    def refused(self, now_s: float, *, started_s: float, in_flight: int, level: int) -> None:
        """Record that the server had no place (429, 503)."""
        self._is_refused = True
        self.timed_out(now_s, started_s=started_s, in_flight=in_flight, level=level)

    def timed_out(self, now_s: float, *, started_s: float, in_flight: int, level: int) -> None:
        """Record that there was no connection, or no answer in time."""
        self._open.lost(now_s, started_s=started_s, in_flight=in_flight, level=level)
        if self._open.knows_end and self.size < self._wanted:
            self._is_cut = self._is_cut or self._trial is Trial.CLIMB
            self._trial, self._held, self._wanted = Trial.HELD, 0, self.size
            self._measure(now_s, skip=in_flight)
        self._history.note(self.size, now_s)

    def _begin_climb(self, now_s: float) -> None:
        self._trial, self._climb = Trial.CLIMB, Climb(self._wanted, now_s)

    def _climb_on(self, now_s: float, *, started_s: float, in_flight: int, is_full: bool) -> None:
        """Add a place for this caption, and judge the round if it ends one."""
        climb = self._climb
        is_over = climb.count(now_s, started_s=started_s, is_full=is_full)
        is_open = self.size == self._wanted < self._ceiling
        if is_full and is_open and climb.may_grow(self._wanted):
            self._want(self._wanted + 1, now_s)
        if not is_over:
            return
        if climb.is_over(now_s) or self._queue_s > _QUEUE_S:
            self._hold(climb.good, now_s, in_flight, failed=False)
        elif climb.size >= self._ceiling:
            self._hold(self._wanted, now_s, in_flight, failed=False)
        else:
            climb.restart(self._wanted, now_s)

    def _learn(self, rate: float, in_flight: int, now_s: float) -> None:
        if math.isnan(rate):
            self._measure(now_s, skip=0)
            return
        self._best_per_place = max(self._best_per_place, rate / self._wanted)
        match self._trial:
            case Trial.HELD:
                self._good, self._good_rate = self._wanted, rate
                self._next(now_s, in_flight)
            case Trial.DOWN if rate >= _SAME * self._good_rate:
                self._good, self._good_rate = self._wanted, rate
                self._hold(self._wanted, now_s, in_flight, failed=False)
            case Trial.UP if self._has_risen(rate):
                self._good, self._good_rate = self._wanted, rate
                self._pause, self._step = _PAUSE, min(2 * self._step, max(self._wanted // 4, 1))
                self._try(Trial.UP, now_s, in_flight)
            case _:
                self._hold(self._good, now_s, in_flight, failed=True)

    def _has_risen(self, rate: float) -> bool:
        if self._queue_s > _QUEUE_S:
            return False
        if self._is_refused:
            return rate >= _SAME * self._good_rate  # this server refuses when it is full
        growth = self._wanted / self._good
        return rate >= (1 + _SHARE * (growth - 1)) * self._good_rate

    def _next(self, now_s: float, in_flight: int) -> None:
        if self._queue_s > 2 * _QUEUE_S:
            self._hold(self._wanted - max(1, self._wanted // 5), now_s, in_flight, failed=False)
        elif self._held < self._pause:
            self._measure(now_s, skip=0)
        else:
            self._step = 1 if self._is_refused else max(1, self._wanted // 2)
            is_crowded = self._good_rate / self._wanted < _CROWDED * self._best_per_place
            trial = self._next_trial if is_crowded else Trial.UP
            if trial is Trial.UP and self._open.aim > self._wanted:  # which comes by itself
                self._next_trial = Trial.DOWN
                self._measure(now_s, skip=0)
            else:
                self._try(trial, now_s, in_flight)

    def _try(self, trial: Trial, now_s: float, in_flight: int) -> None:
        step = self._step if trial is Trial.UP else -max(1, self._wanted // 3)
        size = min(max(self._wanted + step, 1), self._ceiling)
        if size == self._wanted:
            self._hold(size, now_s, in_flight, failed=False)
            return
        self._trial = trial
        self._next_trial = Trial.DOWN if trial is Trial.UP else Trial.UP
        self._want(size, now_s)
        self._measure(now_s, skip=in_flight)

    def _hold(self, size: int, now_s: float, in_flight: int, *, failed: bool) -> None:
        if failed:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._trial, self._held = Trial.HELD, 0
        self._want(size, now_s)
        self._measure(now_s, skip=in_flight)

    def _measure(self, now_s: float, *, skip: int) -> None:
        self._rate = Rate(skip, 2 * max(_MEASURED, self._wanted), since_s=now_s)

    def _want(self, size: int, now_s: float) -> None:
        self._wanted = min(max(size, 1), self._ceiling)
        self._open.aim_at(self._wanted, now_s)
