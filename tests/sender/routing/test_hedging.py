"""When a second request is sent."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from captionfleet.sender.routing.hedging import HedgePolicy

PERCENTILES = st.floats(50, 99.9)
TIMES_S = st.lists(st.floats(0.01, 1000), min_size=50, max_size=400)


def policy_after(percentile: float | None, times_s: list[float]) -> HedgePolicy:
    policy = HedgePolicy(percentile)
    for time_s in times_s:
        policy.answered(time_s)
    return policy


@given(TIMES_S)
def test_nothing_is_hedged_unasked(times_s: list[float]) -> None:
    """Without a percentile no request is ever old enough, and none is in the budget."""
    policy = policy_after(None, times_s)
    assert not policy.is_on
    assert policy.after_s() is policy.after_s(is_tail=True) is None
    assert not policy.take()


@given(PERCENTILES, st.lists(st.floats(0.01, 1000), max_size=49))
def test_few_requests_make_no_percentile(percentile: float, times_s: list[float]) -> None:
    """Before 50 requests were answered nobody knows what is long."""
    policy = policy_after(percentile, times_s)
    assert policy.after_s() is policy.after_s(is_tail=True) is None


@given(PERCENTILES, TIMES_S)
def test_at_most_the_share_past_the_percentile_is_old(
    percentile: float, times_s: list[float]
) -> None:
    """Of the requests seen no greater share took longer than the age; in the tail, than half."""
    policy = policy_after(percentile, times_s)
    for is_tail, limit in ((False, percentile), (True, 50)):
        after_s = policy.after_s(is_tail=is_tail)
        assert after_s is not None
        assert min(times_s) <= after_s <= max(times_s)
        older = sum(time_s > after_s for time_s in times_s)
        assert older <= (1 - limit / 100) * len(times_s) + 1e-9


@given(PERCENTILES, st.lists(st.sampled_from(["answer", "hedge"]), max_size=2000))
def test_hedges_keep_to_their_share(percentile: float, events: list[str]) -> None:
    """Whatever comes when, hedges are at most twice the share of requests past the percentile."""
    policy = HedgePolicy(percentile)
    seen = hedges = 0
    for event in events:
        if event == "answer":
            policy.answered(1.0)
            seen += 1
        else:
            hedges += policy.take()
        assert hedges <= 2 * (1 - percentile / 100) * seen


def test_age_follows_the_latest_requests() -> None:
    """A thousand requests later the age is that of the fleet as it is now."""
    policy = policy_after(90, [100.0] * 5000)
    ages_s = []
    for number in range(1000):
        policy.answered(1.0)
        if number % 100 == 99:
            ages_s.append(policy.after_s() or math.nan)
    assert ages_s[0] == 100
    assert ages_s[-1] == 1
    assert all(later <= earlier for earlier, later in pairwise(ages_s))
