"""Fits request time as a function of requests in flight; pure (main process)."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curve", "fit_curve", "in_flight_at_start", "is_saturated", "rising", "seconds_at"]

Curve = tuple[tuple[int, float], ...]
"""Points (requests in flight, including the new one; its seconds), both rising."""

_LEAST_REQUESTS = 20  # for a point
_MOST_POINTS = 24
_ABOUT_TO = 0.02  # of a request
_FLAT = 1.15  # with a smaller gain from twice as many in flight, the deployment is saturated


def in_flight_at_start(
    started_s: NDArray[np.float64], ended_s: NDArray[np.float64]
) -> NDArray[np.int64]:
    """For each request, the number in flight as it started, itself included.

    A request about to end counts as ended: the next one starts at its end, and the times in lines
    are those of writing, a little later and rounded.
    """
    about_to_s = _ABOUT_TO * float(np.median(ended_s - started_s))
    over_s = np.maximum(ended_s - about_to_s, np.nextafter(started_s, np.inf))
    begun = np.searchsorted(np.sort(started_s), started_s, side="right")
    over = np.searchsorted(np.sort(over_s), started_s, side="right")
    return (begun - over).astype(np.int64)


def fit_curve(in_flight: NDArray[np.int64], request_s: NDArray[np.float64]) -> Curve:
    """Mean request times at up to 24 numbers in flight, made monotonic."""
    order = np.argsort(in_flight, kind="stable")
    size = max(_LEAST_REQUESTS, -(-len(order) // _MOST_POINTS))
    count = max(1, len(order) // size)
    points = [
        (float(in_flight[chunk].mean()), float(request_s[chunk].mean()), len(chunk))
        for chunk in np.array_split(order, count)
    ]
    return rising(points)


def rising(points: Iterable[tuple[float, float, float]]) -> Curve:
    """The closest curve that never falls, through points (in flight, seconds, weight).

    Falling neighbours are pooled (isotonic regression by the pool-adjacent-violators algorithm), so
    a point may stand for several; points with the same number in flight are merged.
    """
    pools: list[list[tuple[float, float, float]]] = []
    for point in _by_whole_number(points):
        pools.append([point])
        while len(pools) > 1 and _mean_s(pools[-2]) > _mean_s(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    return tuple((max(1, round(n)), _mean_s(pool)) for pool in pools for n in _ends(pool))


def _by_whole_number(
    points: Iterable[tuple[float, float, float]],
) -> list[tuple[float, float, float]]:
    groups: dict[int, list[tuple[float, float, float]]] = {}
    for point in points:
        groups.setdefault(max(1, round(point[0])), []).append(point)
    return [(n, _mean_s(group), sum(w for *_, w in group)) for n, group in sorted(groups.items())]


def _mean_s(points: Sequence[tuple[float, float, float]]) -> float:
    return sum(s * w for _, s, w in points) / sum(w for *_, w in points)


def _ends(pool: Sequence[tuple[float, float, float]]) -> list[float]:
    return [pool[0][0]] if len(pool) == 1 else [pool[0][0], pool[-1][0]]


def seconds_at(curve: Curve, in_flight: NDArray[np.int64]) -> NDArray[np.float64]:
    """The curve's values, linear between its points and constant beyond them."""
    few, seconds = zip(*curve, strict=True)
    at: NDArray[np.float64] = np.interp(in_flight, few, seconds)
    return at


def is_saturated(curve: Curve) -> bool:
    """Whether the curve reaches the deployment's capacity: more in flight give no more captions.

    A curve that ends at one in flight shows nothing.
    """
    top, top_s = curve[-1]
    if top == 1:
        return False
    half = max(1, top // 2)
    half_s = float(seconds_at(curve, np.asarray([half]))[0])
    gain = (top / top_s) / (half / half_s)
    return gain < 1 + (_FLAT - 1) * (top / half - 1)


def best_rate(curve: Curve) -> float:
    """Captions per second at the best number in flight."""
    return max(n / seconds for n, seconds in curve)


def is_rising(curve: Curve) -> bool:
    """Whether the points are in order and no time is below the one before."""
    return all(a < b and s <= t for (a, s), (b, t) in pairwise(curve))
