"""Finds the steady part of a load, without its warm-up; pure (main process)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import stdev

from captionfleet.bench.figures.samples import Sample

__all__ = [
    "Window",
    "ended_per_s",
    "half_width",
    "is_queue_growing",
    "rate_per_s",
    "steady_window",
    "truncation",
]

_BATCH = 5
_SAME = 0.1
_PARTS, _STUDENT_T = 10, 2.262  # its 97.5 % quantile with nine degrees of freedom


@dataclass(frozen=True, slots=True)
class Window:
    """The time that counts; `is_steady` says whether its two halves had the same rate.

    A load without captions has neither warm-up nor steadiness.
    """

    from_s: float
    to_s: float
    is_steady: bool

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.to_s - self.from_s


def truncation(values: Sequence[float]) -> int:
    """How many values at the start belong to the warm-up, at most half of them.

    The MSER-5 rule: drops batches of five while that reduces the standard error of the mean of the
    rest (K. P. White, "An effective truncation heuristic for bias reduction in simulation output",
    Simulation 69(6), 1997).
    """
    means = [
        math.fsum(values[i : i + _BATCH]) / _BATCH
        for i in range(0, len(values) - _BATCH + 1, _BATCH)
    ]
    if not means:
        return 0
    sums = list(accumulate(reversed(means)))[::-1]
    squares = list(accumulate(mean * mean for mean in reversed(means)))[::-1]

    def error(dropped: int) -> float:
        left = len(means) - dropped
        return max(squares[dropped] - sums[dropped] ** 2 / left, 0.0) / left**2

    return min(range(len(means) // 2 + 1), key=error) * _BATCH


def rate_per_s(samples: Sequence[Sample], from_s: float, to_s: float) -> float:
    """Captions per second; a caption partly within the time counts in part.

    So neither requests in progress at both ends nor waves of requests distort the rate.
    """
    if to_s <= from_s:
        return 0.0
    done = math.fsum(one.share_within(from_s, to_s) for one in samples if one.code is None)
    return done / (to_s - from_s)


def ended_per_s(samples: Sequence[Sample], from_s: float, to_s: float) -> float:
    """Captions per second, each counted when it came.

    For open-loop arrivals: if more arrive than are answered, requests take ever longer, and shares
    of those still waiting are not finished work.
    """
    if to_s <= from_s:
        return 0.0
    return sum(one.code is None and from_s <= one.ended_s < to_s for one in samples) / (
        to_s - from_s
    )


def half_width(rate: Callable[[float, float], float], from_s: float, to_s: float) -> float:
    """Half of the 95 % interval of a rate, by the means of ten equal parts of its time.

    Parts count as independent, as long ones are (A. M. Law, "Simulation Modeling and Analysis", on
    batch means); shares of long requests correlate neighbours, which makes this too small.
    """
    part_s = (to_s - from_s) / _PARTS
    rates = [rate(from_s + n * part_s, from_s + (n + 1) * part_s) for n in range(_PARTS)]
    return _STUDENT_T * stdev(rates) / math.sqrt(_PARTS)


def is_queue_growing(samples: Sequence[Sample], window: Window) -> bool:
    """Whether significantly more requests started in the window than ended.

    Significant is twice the standard deviation of that many Poisson arrivals.
    """
    begun = sum(window.from_s <= one.started_s < window.to_s for one in samples)
    ended = sum(window.from_s <= one.ended_s < window.to_s for one in samples)
    return begun - ended > max(_SAME * begun, 2 * math.sqrt(begun))


def steady_window(
    samples: Sequence[Sample],
    *,
    ramp: int,
    to_s: float,
    rate: Callable[[Sequence[Sample], float, float], float] = rate_per_s,
) -> Window:
    """The part of a load that counts, up to `to_s`, when no more requests were begun.

    Args:
        samples: All requests; any order.
        ramp: How many requests, by start, belong to the ramp regardless of their times.
        to_s: End of the load, monotonic.
        rate: How captions are counted.
    """
    by_start = sorted(samples, key=lambda one: one.started_s)
    good = [one for one in by_start if one.code is None]
    if not good:
        from_s = by_start[0].started_s if by_start else to_s
        return Window(min(from_s, to_s), to_s, is_steady=False)
    warm_s = good[truncation([one.request_s for one in good])].started_s
    ramped_s = by_start[min(ramp, len(by_start) - 1)].started_s
    from_s = min(max(warm_s, ramped_s), to_s)
    middle_s = (from_s + to_s) / 2
    before, after = rate(good, from_s, middle_s), rate(good, middle_s, to_s)
    counted = sum(from_s <= one.ended_s <= to_s for one in good)
    bearable = max(_SAME, 2 / math.sqrt(max(counted, 1)))
    is_steady = counted > 0 and abs(after - before) <= bearable * max(before, after)
    return Window(from_s, to_s, is_steady)
