"""How many requests may be in flight at one deployment (main process; pure).

The number is found by trial. Slow start doubles it while the rate of captions rises with it;
then it is held, and now and then a little more, or less, is tried. Refusals (429, 503) say
where the end is without any measuring; a server that queues instead is known by a rate that
no longer rises, or by the queue time that it reports.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["AdaptiveWindow", "FixedWindow", "place_seconds"]

_START = 8
_MEASURED = 24  # captions that make a rate
_PAUSE, _LONGEST_PAUSE = 64, 1024  # captions between two trials
_RISES = 1.07  # least gain in rate that a doubled window must bring
_SHARE = 0.15  # least part of a small trial's ideal gain
_SAME = 0.97  # a rate that is as good as before
_CROWDED = 0.67  # rate per place, against the best seen, that hints at a queue
_QUEUE_S, _QUEUE_WEIGHT = 0.5, 0.3  # bearable queue time; weight of the newest report
_MAX_HISTORY = 256


@dataclass(slots=True)
class FixedWindow:
    """The number that the job file says, whatever happens."""

    size: int

    @property
    def history(self) -> tuple[tuple[float, int], ...]:
        """One entry: (0.0, size)."""
        return ((0.0, self.size),)

    def succeeded(self, now_s: float, *, in_flight: int, queue_s: float | None = None) -> None:
        """Nothing to learn."""

    def refused(self, now_s: float, *, started_s: float, in_flight: int) -> None:
        """Nothing to learn."""

    def timed_out(self, now_s: float, *, started_s: float) -> None:
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
            return float("nan")
        return self.counted / max(now_s - self.since_s, 1e-9)


class AdaptiveWindow:
    """Finds the smallest window that brings (nearly) the best rate, at most `ceiling`.

    In every method `in_flight` counts the requests out at that moment, the ended one included.
    """

    def __init__(self, ceiling: int, *, now_s: float) -> None:
        self._ceiling = ceiling
        self._started_s = now_s
        self._size = min(_START, ceiling)
        self._history = [(0.0, self._size)]
        self._good = self._size  # the window to return to when a trial fails
        self._good_rate = 0.0
        self._best_per_place = 0.0
        self._trial = "climb"  # climb, up, down or "" while the window is held
        self._step = 1
        self._next_trial = "up"
        self._pause = _PAUSE
        self._held = 0
        self._shrunk_s = float("-inf")
        self._shrunk_from = self._size
        self._since_shrunk = ceiling
        self._is_refused = False
        self._queue_s = 0.0
        self._rate = _Rate(0, max(_MEASURED, self._size), since_s=now_s)

    @property
    def size(self) -> int:
        """How many requests may be in flight now."""
        return self._size

    @property
    def history(self) -> tuple[tuple[float, int], ...]:
        """(seconds since the start, window) at every change, thinned out when it gets long."""
        return tuple(self._history)

    def succeeded(self, now_s: float, *, in_flight: int, queue_s: float | None = None) -> None:
        """A caption came; `queue_s` is the server's own queue time where it reports one."""
        self._since_shrunk += 1
        self._held += 1
        if queue_s is not None:
            self._queue_s += _QUEUE_WEIGHT * (queue_s - self._queue_s)
        rate = self._rate.count(now_s, is_full=in_flight >= self._size)
        if rate is None:
            return
        if rate != rate:  # noqa: PLR0124 - nan: an idle window teaches nothing
            self._measure(now_s, skip=0)
        else:
            self._learn(rate, in_flight, now_s)

    def refused(self, now_s: float, *, started_s: float, in_flight: int) -> None:
        """The server had no place (429, 503): those still in flight are what it can take.

        The refusals of one burst, requests sent before the window shrank, together at most
        halve it. A second burst soon after means that the end lies lower: 15 % at least.
        """
        accepted = max(in_flight - 1, 1)
        if started_s <= self._shrunk_s:
            self._resize(max(min(self._size, accepted), self._shrunk_from // 2), now_s)
            return
        soon = self._since_shrunk < self._size
        bound = int(self._size * 0.85) if soon else self._size - 1
        self._shrink(max(min(accepted, bound), self._size // 2), now_s, in_flight)
        self._is_refused = True

    def timed_out(self, now_s: float, *, started_s: float) -> None:
        """No connection or no answer in time: half as many, once for all sent before."""
        if started_s > self._shrunk_s:
            self._shrink(self._size // 2, now_s, self._size)

    def _shrink(self, size: int, now_s: float, in_flight: int) -> None:
        self._shrunk_s, self._shrunk_from, self._since_shrunk = now_s, self._size, 0
        self._hold(size, now_s, in_flight, failed=self._trial in {"climb", "up"})

    def _learn(self, rate: float, in_flight: int, now_s: float) -> None:
        self._best_per_place = max(self._best_per_place, rate / self._size)
        match self._trial:
            case "":
                self._good, self._good_rate = self._size, rate
                self._next(now_s, in_flight)
            case "down" if rate >= _SAME * self._good_rate:
                self._good, self._good_rate = self._size, rate
                self._hold(self._size, now_s, in_flight, failed=False)
            case "climb" | "up" if self._has_risen(rate):
                self._good, self._good_rate = self._size, rate
                self._pause, self._step = _PAUSE, 2 * self._step
                self._try(self._trial, now_s, in_flight)
            case _:
                self._hold(self._good, now_s, in_flight, failed=True)

    def _has_risen(self, rate: float) -> bool:
        if self._queue_s > _QUEUE_S:
            return False
        if self._is_refused and self._trial == "up":
            return rate >= _SAME * self._good_rate  # this server says itself when it is full
        growth = self._size / self._good
        least = _RISES if self._trial == "climb" else 1 + _SHARE * (growth - 1)
        return rate >= least * self._good_rate

    def _next(self, now_s: float, in_flight: int) -> None:
        if self._queue_s > 2 * _QUEUE_S:
            self._hold(self._size - max(1, self._size // 5), now_s, in_flight, failed=False)
        elif self._held < self._pause:
            self._measure(now_s, skip=0)
        else:
            self._step = 1 if self._is_refused else max(1, self._size // 2)
            is_crowded = self._good_rate / self._size < _CROWDED * self._best_per_place
            self._try(self._next_trial if is_crowded else "up", now_s, in_flight)

    def _try(self, trial: str, now_s: float, in_flight: int) -> None:
        sizes = {
            "climb": 2 * self._size,
            "up": self._size + self._step,
            "down": self._size - max(1, self._size // 3),
        }
        size = min(max(sizes[trial], 1), self._ceiling)
        if size == self._size:
            self._hold(size, now_s, in_flight, failed=False)
            return
        self._trial = trial
        self._next_trial = "down" if trial == "up" else "up"
        self._resize(size, now_s)
        self._measure(now_s, skip=in_flight)

    def _hold(self, size: int, now_s: float, in_flight: int, *, failed: bool) -> None:
        if failed and self._trial != "climb":
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._trial, self._held = "", 0
        self._resize(size, now_s)
        self._measure(now_s, skip=in_flight)

    def _measure(self, now_s: float, *, skip: int) -> None:
        times = 1 if self._trial == "climb" else 2
        self._rate = _Rate(skip, max(times * _MEASURED, times * self._size), since_s=now_s)

    def _resize(self, size: int, now_s: float) -> None:
        size = min(max(size, 1), self._ceiling)
        if size == self._size:
            return
        self._size = size
        self._history.append((round(now_s - self._started_s, 3), size))
        if len(self._history) > _MAX_HISTORY:
            self._history = list(_thinned(self._history))


def _thinned(history: list[tuple[float, int]]) -> Iterator[tuple[float, int]]:
    yield from history[:-1:2]
    yield history[-1]


def place_seconds(history: Sequence[tuple[float, int]], seconds: float) -> float:
    """The window's size summed over time: how long requests could have been in flight."""
    ends = [*(since for since, _ in history[1:]), seconds]
    spans = zip(history, ends, strict=True)
    return sum(size * max(0.0, min(end, seconds) - since) for (since, size), end in spans)
