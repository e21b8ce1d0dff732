"""Computes the rate of a run and the time it has left; pure (main process)."""

from collections import deque
from typing import NamedTuple

from captionfleet.telemetry.tally import Tally

__all__ = ["Pace"]

_EVERY_S = 1.0
_WINDOW_S = 120.0  # long enough for slow requests, short enough to follow new replicas
_LEAST_CLIPS = 30  # with fewer in the window, the whole run is a better estimate


class _Sample(NamedTuple):
    """The counters at a point in time, without the time spent waiting for deployments."""

    active_s: float
    settled: int
    prepared_video_s: float
    settled_video_s: float


class Pace:
    """Rates over the last two minutes, or over the whole run while little was done in them.

    The time left is the longer of two: the video still to prepare at the rate of preparing, and the
    video without a line at the rate of captioning. The rate of captioning counts only once as many
    clips have a line as were in flight.
    """

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=int(_WINDOW_S / _EVERY_S) + 1)
        self._first: _Sample | None = None
        self._last: _Sample | None = None
        self._active_s = 0.0
        self._seen_s: float | None = None

    def see(self, tally: Tally, now_s: float) -> None:
        """Record the counters at a time, which must not go back."""
        since_s = 0.0 if self._seen_s is None else now_s - self._seen_s
        self._seen_s = now_s
        if not tally.waiting_for:
            self._active_s += since_s
        if not (tally.preparing or tally.in_flight or tally.settled):
            return
        self._last = _Sample(
            self._active_s, tally.settled, tally.prepared_video_s, tally.settled_video_s
        )
        self._first = self._first or self._last
        if not self._samples or self._last.active_s - self._samples[-1].active_s >= _EVERY_S:
            self._samples.append(self._last)

    def clips_per_s(self) -> float | None:
        """Lines written per second; None while unknown."""
        span = self._span()
        return (span[1].settled - span[0].settled) / _seconds(*span) if span else None

    def left_s(self, tally: Tally) -> float | None:
        """Seconds until all counted clips have their line; None if unknown."""
        if (span := self._span()) is None:
            return None
        first, last = span
        all_s = tally.outlook.left_s()
        ahead_s = max(tally.prepared_video_s - tally.settled_video_s, 0.0)
        stages = [
            (max(all_s - ahead_s, 0.0), last.prepared_video_s - first.prepared_video_s),
        ]
        if tally.settled >= max(tally.max_in_flight, 1):
            stages.append((all_s, last.settled_video_s - first.settled_video_s))
        times = [left / done * _seconds(first, last) for left, done in stages if done > 0]
        return max(times) if times else None

    def _span(self) -> tuple[_Sample, _Sample] | None:
        if self._first is None or self._last is None:
            return None
        first, last = self._samples[0], self._last
        if last.settled - first.settled < _LEAST_CLIPS:
            first = self._first
        return (first, last) if last.active_s > first.active_s else None


def _seconds(first: _Sample, last: _Sample) -> float:
    return last.active_s - first.active_s
