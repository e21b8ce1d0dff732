"""How many requests may be in flight at one deployment (main process; pure).

The number is found by trial. Slow start doubles it while the rate of captions rises with it;
then it is held, and now and then a little more, or less, is tried. Refusals (429, 503) say
where the end is without any measuring; a server that queues instead is known by a rate that
no longer rises, or by the queue time that it reports.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from captionfleet.sender.routing.congestion import CongestionWindow

__all__ = ["AdaptiveWindow", "FixedWindow", "place_seconds"]

_START = 8
_MEASURED = 24  # captions that make a rate
_PAUSE, _LONGEST_PAUSE = 64, 1024  # captions between two trials
_RISES = 1.07  # least gain in rate that a doubled window must bring
_SHARE = 0.15  # least part of a small trial's ideal gain
_SAME = 0.97  # a rate that is as good as before
_CROWDED = 0.67  # rate per place, against the best seen, that hints at a queue
_QUEUE_S, _QUEUE_WEIGHT = 0.5, 0.3  # bearable queue time; weight of the newest report
_SHALLOW = 0.8  # part of the wanted window below which a rate says nothing of it
_MAX_HISTORY = 256


@dataclass(slots=True)
class FixedWindow:
    """The number that the job file says, whatever happens."""

    size: int
    started_s: float = 0.0
    _history: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._history.append((0.0, self.size))

    @property
    def history(self) -> tuple[tuple[float, int], ...]:
        """(seconds since the start, size) at the start and wherever the ceiling moved."""
        return tuple(self._history)

    def follow(self, ceiling: int, now_s: float, *, in_flight: int) -> bool:  # noqa: ARG002 - as below
        """Keep to this number from now on; whether it is another."""
        if ceiling == self.size:
            return False
        self.size = ceiling
        _note(self._history, (round(now_s - self.started_s, 3), ceiling))
        return True

    def succeeded(
        self, now_s: float, *, started_s: float, in_flight: int, queue_s: float | None = None
    ) -> None:
        """Nothing to learn."""

    def refused(self, now_s: float, *, started_s: float, in_flight: int) -> None:
        """Nothing to learn."""

    def timed_out(self, now_s: float, *, started_s: float, in_flight: int) -> None:
        """Nothing to learn."""


@dataclass(slots=True)
class _Rate:
    """Captions per second at one window: `skip` of them still belong to the window before."""

    skip: int
    wanted: int
    counted: int = 0
    idle: int = 0
    since_s: float = 0.0

    def count(self, now_s: float, *, is_full: bool) -> float | None:
        """The rate once it is known; nan where the window was not used, so it says nothing."""
        if self.skip > 0:
            self.skip -= 1
            self.since_s = now_s
            return None
        self.counted += 1
        self.idle += not is_full
        if self.counted < self.wanted:
            return None
        if 5 * self.idle > self.counted:
            return math.nan
        return self.counted / max(now_s - self.since_s, 1e-9)


class AdaptiveWindow:
    """Finds the smallest window that brings (nearly) the best rate, at most `ceiling`.

    In every method `in_flight` counts the requests out at that moment, the ended one included,
    which was sent at `started_s`.
    """

    def __init__(self, ceiling: int, *, now_s: float) -> None:
        self._ceiling = ceiling
        self._started_s = now_s
        self._wanted = min(_START, ceiling)  # by the rate alone
        self._open = CongestionWindow(self._wanted)  # what refusals leave of it
        self._history = [(0.0, self._wanted)]
        self._good = self._wanted  # the window to return to when a trial fails
        self._good_rate = 0.0
        self._best_per_place = 0.0
        self._trial = "climb"  # climb, up, down or "" while the window is held
        self._step = 1
        self._next_trial = "up"
        self._pause = _PAUSE
        self._held = 0
        self._is_refused = False
        self._queue_s = 0.0
        self._rate = _Rate(0, max(_MEASURED, self._wanted), since_s=now_s)

    @property
    def size(self) -> int:
        """How many requests may be in flight now."""
        return self._open.size

    @property
    def history(self) -> tuple[tuple[float, int], ...]:
        """(seconds since the start, window) at every change, thinned out when it gets long."""
        return tuple(self._history)

    def follow(self, ceiling: int, now_s: float, *, in_flight: int) -> bool:
        """Take this ceiling: replicas came or went, and what each bears stays the same.

        The window moves in proportion. What was measured says nothing of the new fleet: after
        growth the climb begins anew from there, after a loss the window is held.

        Returns:
            Whether it is another than before.
        """
        if ceiling == self._ceiling:
            return False
        share, has_grown = ceiling / self._ceiling, ceiling > self._ceiling
        self._ceiling = ceiling
        self._want(round(self._wanted * share), now_s)
        self._good, self._good_rate = self._wanted, 0.0
        self._trial, self._step = "climb" if has_grown else "", 1
        self._pause, self._held, self._next_trial = _PAUSE, 0, "up"
        self._measure(now_s, skip=in_flight)
        self._note(now_s)
        return True

    def succeeded(
        self, now_s: float, *, started_s: float, in_flight: int, queue_s: float | None = None
    ) -> None:
        """A caption came; `queue_s` is the server's own queue time where it reports one."""
        self._held += 1
        if queue_s is not None:
            self._queue_s += _QUEUE_WEIGHT * (queue_s - self._queue_s)
        is_full = in_flight >= self.size
        self._open.answered(now_s, started_s=started_s)
        self._wanted = max(self._wanted, self.size)
        if self.size < _SHALLOW * self._wanted:
            self._measure(now_s, skip=in_flight)
        elif (rate := self._rate.count(now_s, is_full=is_full)) is not None:
            self._learn(rate, in_flight, now_s)
        self._note(now_s)

    def refused(self, now_s: float, *, started_s: float, in_flight: int) -> None:
        """The server had no place (429, 503)."""
        self._is_refused = True
        self.timed_out(now_s, started_s=started_s, in_flight=in_flight)

    def timed_out(self, now_s: float, *, started_s: float, in_flight: int) -> None:
        """No connection, or no answer in time."""
        self._open.lost(now_s, started_s=started_s, in_flight=in_flight)
        if self._open.knows_end and self.size < self._wanted:
            self._trial, self._held, self._wanted = "", 0, self.size
            self._measure(now_s, skip=in_flight)
        self._note(now_s)

    def _learn(self, rate: float, in_flight: int, now_s: float) -> None:
        if math.isnan(rate):
            self._measure(now_s, skip=0)
            return
        self._best_per_place = max(self._best_per_place, rate / self._wanted)
        match self._trial:
            case "":
                self._good, self._good_rate = self._wanted, rate
                self._next(now_s, in_flight)
            case "down" if rate >= _SAME * self._good_rate:
                self._good, self._good_rate = self._wanted, rate
                self._hold(self._wanted, now_s, in_flight, failed=False)
            case "climb" | "up" if self._has_risen(rate):
                self._good, self._good_rate = self._wanted, rate
                self._pause, self._step = _PAUSE, min(2 * self._step, max(self._wanted // 4, 1))
                self._try(self._trial, now_s, in_flight)
            case _:
                self._hold(self._good, now_s, in_flight, failed=True)

    def _has_risen(self, rate: float) -> bool:
        if self._queue_s > _QUEUE_S:
            return False
        if self._is_refused and self._trial == "up":
            return rate >= _SAME * self._good_rate  # this server says itself when it is full
        growth = self._wanted / self._good
        least = _RISES if self._trial == "climb" else 1 + _SHARE * (growth - 1)
        return rate >= least * self._good_rate

    def _next(self, now_s: float, in_flight: int) -> None:
        if self._queue_s > 2 * _QUEUE_S:
            self._hold(self._wanted - max(1, self._wanted // 5), now_s, in_flight, failed=False)
        elif self._held < self._pause:
            self._measure(now_s, skip=0)
        else:
            self._step = 1 if self._is_refused else max(1, self._wanted // 2)
            is_crowded = self._good_rate / self._wanted < _CROWDED * self._best_per_place
            trial = self._next_trial if is_crowded else "up"
            if trial == "up" and self._open.aim > self._wanted:  # which comes by itself
                self._next_trial = "down"
                self._measure(now_s, skip=0)
            else:
                self._try(trial, now_s, in_flight)

    def _try(self, trial: str, now_s: float, in_flight: int) -> None:
        sizes = {
            "climb": 2 * self._wanted,
            "up": self._wanted + self._step,
            "down": self._wanted - max(1, self._wanted // 3),
        }
        size = min(max(sizes[trial], 1), self._ceiling)
        if size == self._wanted:
            self._hold(size, now_s, in_flight, failed=False)
            return
        self._trial = trial
        self._next_trial = "down" if trial == "up" else "up"
        self._want(size, now_s)
        self._measure(now_s, skip=in_flight)

    def _hold(self, size: int, now_s: float, in_flight: int, *, failed: bool) -> None:
        if failed and self._trial != "climb":
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._trial, self._held = "", 0
        self._want(size, now_s)
        self._measure(now_s, skip=in_flight)

    def _measure(self, now_s: float, *, skip: int) -> None:
        times = 1 if self._trial == "climb" else 2
        self._rate = _Rate(skip, max(times * _MEASURED, times * self._wanted), since_s=now_s)

    def _want(self, size: int, now_s: float) -> None:
        self._wanted = min(max(size, 1), self._ceiling)
        self._open.aim_at(self._wanted, now_s)

    def _note(self, now_s: float) -> None:
        if self.size == self._history[-1][1]:
            return
        _note(self._history, (round(now_s - self._started_s, 3), self.size))


def _note(history: list[tuple[float, int]], change: tuple[float, int]) -> None:
    history.append(change)
    if len(history) > _MAX_HISTORY:
        history[:] = list(_thinned(history))


def _thinned(history: list[tuple[float, int]]) -> Iterator[tuple[float, int]]:
    yield from history[:-1:2]
    yield history[-1]


def place_seconds(history: Sequence[tuple[float, int]], seconds: float) -> float:
    """The window's size summed over time: how long requests could have been in flight."""
    ends = [*(since for since, _ in history[1:]), seconds]
    spans = zip(history, ends, strict=True)
    return sum(size * max(0.0, min(end, seconds) - since) for (since, size), end in spans)
