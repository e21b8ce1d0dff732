"""The search for the knee, against deployments that are a formula."""

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from captionfleet.bench.figures.knee import Knee, Search

_MOST_LOADS = 60
Rate = Callable[[int, int], tuple[float, float]]
"""(load, how many were measured before) to (clips per second, share of errors)."""


def found(rate: Rate, *, ceiling: int = 512) -> tuple[Knee, list[int]]:
    """The knee of a deployment, and the loads that were tried."""
    search, tried = Search(ceiling), []
    for number in count():
        if (wanted := search.wanted) is None:
            break
        assert number < _MOST_LOADS, tried
        assert 1 <= wanted <= ceiling
        tried.append(wanted)
        clips_per_s, errors = rate(wanted, number)
        search.add(clips_per_s, error_share=errors)
    knee = search.knee()
    assert knee is not None
    return knee, tried


def slots(number: int, *, request_s: float = 1.0, queue: int = 10**6) -> Rate:
    """So many served at a time, each for a second; past the queue there are refusals."""

    def rate(load: int, _: int) -> tuple[float, float]:
        refused = max(load - number - queue, 0)
        return min(load, number) / request_s, refused / load

    return rate


@example(463, 0.0195, 1)
@given(number=st.integers(1, 500), noise=st.floats(0, 0.02), seed=st.integers(0, 9))
def test_slots_are_found(number: int, noise: float, seed: int) -> None:
    """The knee of a deployment with so many slots is within a tenth of them, or one.

    Noise comes on top: it may lower the rate that is best and raise that at the knee.
    """

    def noisy(load: int, before: int) -> tuple[float, float]:
        wave = ((7 * before + 3 * seed) % 11 - 5) / 5  # from -1 to 1
        return min(load, number) * (1 + noise * wave), 0.0

    knee, tried = found(noisy)
    # 95 % of the best, which is the mean of rates from 95 % of the highest on.
    least = 0.95**2 * (1 - noise) / (1 + noise)
    assert knee.in_flight >= min(number - 1, least * number), tried
    assert knee.in_flight <= max(number + 1, 1.1 * number), tried
    assert len(tried) <= 24


@pytest.mark.parametrize("queue", [0, 8, 100])
def test_refusals_end_the_climb(queue: int) -> None:
    """A deployment that refuses past its queue has its knee at its slots, too."""
    knee, tried = found(slots(16, queue=queue))
    assert 15 <= knee.in_flight <= 17, tried
    assert knee.is_end


def test_capacity_that_halves() -> None:
    """A deployment that loses half its slots during the search is known as it then is."""

    def halved(load: int, before: int) -> tuple[float, float]:
        return slots(16 if before < 6 else 8)(load, before)

    knee, tried = found(halved)
    assert 7 <= knee.in_flight <= 9, tried
    assert knee.changed


def test_a_moment_of_errors() -> None:
    """Errors that do not come back, as of a replica that restarts, do not pass for the end."""

    def hiccup(load: int, before: int) -> tuple[float, float]:
        return min(load, 16), 0.5 if before == 2 else 0.0

    knee, tried = found(hiccup)
    assert 15 <= knee.in_flight <= 17, tried


def test_ceiling_below_the_end() -> None:
    """Where the ceiling comes first, the knee says that more may be had."""
    knee, _ = found(slots(100), ceiling=40)
    assert knee.in_flight in range(38, 41)
    assert not knee.is_end


@given(bend=st.floats(4, 200))
def test_rate_that_rises_ever_less(bend: float) -> None:
    """Without a sharp end, the knee brings nearly the rate of twice as many in flight."""

    def batching(load: int, _: int) -> tuple[float, float]:
        return load / (1 + load / bend), 0.0

    knee, _ = found(batching, ceiling=4096)
    rate, doubled = batching(knee.in_flight, 0)[0], batching(2 * knee.in_flight, 0)[0]
    assert rate >= 0.8 * doubled


def test_nothing_but_errors() -> None:
    """Where no load brings a caption the search ends soon, and finds nothing."""
    search, tried = Search(512), 0
    while search.wanted is not None:
        search.add(0.0, error_share=1.0)
        tried += 1
    assert search.knee() is None
    assert tried <= 6
