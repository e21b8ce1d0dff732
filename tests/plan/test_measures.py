"""What is drawn from measured requests and clips, and what must hold of it whatever they are."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.plan.model.curve import (
    fit_curve,
    in_flight_at_start,
    is_saturated,
    rising,
    seconds_at,
)
from captionfleet.plan.model.shape import fit_terms

seconds = st.floats(0.01, 100.0)
requests = st.lists(st.tuples(st.floats(0.0, 50.0), seconds), min_size=1, max_size=60)


@given(requests)
def test_in_flight_counts_those_that_have_begun_and_do_not_end_now(
    given_requests: list[tuple[float, float]],
) -> None:
    """The number in flight at a request's start is what counting one by one gives."""
    started_s = np.asarray([start for start, _ in given_requests])
    ended_s = np.asarray([start + took for start, took in given_requests])
    soon_s = 0.02 * np.median(ended_s - started_s)
    both = list(zip(started_s, ended_s, strict=True))
    counted = [sum(s == now or s < now < e - soon_s for s, e in both) for now in started_s]
    assert in_flight_at_start(started_s, ended_s).tolist() == counted


points = st.lists(
    st.tuples(st.floats(1.0, 200.0), seconds, st.floats(0.5, 50.0)), min_size=1, max_size=30
)


@given(points)
def test_curve_never_falls_and_stays_within_what_was_measured(
    measured: list[tuple[float, float, float]],
) -> None:
    """More in flight never make a request faster, and no time is outside those measured."""
    curve = rising(measured)
    in_flight, took_s = zip(*curve, strict=True)
    assert list(in_flight) == sorted(set(in_flight))
    assert all(a <= b + 1e-9 for a, b in pairwise(took_s))
    assert min(s for _, s, _ in measured) - 1e-9 <= min(took_s)
    assert max(took_s) <= max(s for _, s, _ in measured) + 1e-9


def test_curve_of_slots_with_a_queue_is_level_and_then_rises() -> None:
    """Requests past the slots wait, and the curve says how long."""
    in_flight = np.repeat(np.arange(1, 17), 40)
    took_s = np.maximum(in_flight / 8, 1.0) * 2.0
    curve = fit_curve(in_flight, took_s)
    expected = np.maximum(np.asarray([4, 8, 16]) / 8, 1.0) * 2.0
    assert seconds_at(curve, np.asarray([4, 8, 16])) == pytest.approx(expected, rel=0.1)
    assert is_saturated(curve)
    assert not is_saturated(fit_curve(in_flight[:320], took_s[:320]))


rows = st.lists(
    st.tuples(st.floats(0.5, 60.0), st.floats(0.01, 8.0), st.floats(0.0, 20.0)),
    min_size=1,
    max_size=40,
)


@given(rows)
def test_terms_keep_the_sum_and_are_never_negative(
    clips: list[tuple[float, float, float]],
) -> None:
    """What is foretold for the very clips that were measured adds up to what was measured."""
    known = np.asarray([(1.0, s, s * megapixels) for s, megapixels, _ in clips])
    measured = np.asarray([took for _, _, took in clips])
    terms = fit_terms(known, measured, (0.05, 0.006, 0.012))
    assert min(terms.weights) >= 0
    assert terms.each(known).sum() == pytest.approx(measured.sum(), rel=1e-6, abs=1e-9)


def test_terms_are_found_where_clips_differ_and_guessed_where_they_do_not() -> None:
    """Clips of several kinds tell the terms apart; of clips that are alike the guess decides."""
    dice = np.random.default_rng(3)
    length_s, megapixels = dice.uniform(2, 60, 400), dice.choice([0.2, 0.9, 2.1], 400)
    known = np.column_stack([np.ones(400), length_s, length_s * megapixels])
    truth = (0.1, 0.002, 0.03)
    found = fit_terms(known, known @ truth, (0.05, 0.006, 0.012))
    for clip in ((1.0, 5.0, 1.0), (1.0, 60.0, 54.0), (1.0, 60.0, 12.0)):
        assert found.of(*clip) == pytest.approx(sum(np.multiply(truth, clip)), rel=0.1)
    alike = fit_terms([(1.0, 10.0, 9.0)] * 50, [1.0] * 50, (0.05, 0.006, 0.012))
    assert np.asarray(alike.weights) / alike.weights[0] == pytest.approx([1.0, 0.12, 0.24])
