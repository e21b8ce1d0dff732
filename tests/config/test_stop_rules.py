"""When a run stops by itself."""

from datetime import datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config.stop_rules import (
    MaxFailures,
    StopRules,
    next_time,
    parse_max_failures,
    parse_time,
)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("1", MaxFailures(count=1)),
        ("5%", MaxFailures(share=0.05)),
        ("0.5 %", MaxFailures(share=0.005)),
        ("100%", MaxFailures(share=1)),
    ],
)
def test_failures_are_counted_or_weighed(text: str, parsed: MaxFailures) -> None:
    """A number is a count, a percentage a share."""
    assert parse_max_failures(text) == parsed


@pytest.mark.parametrize("text", ["", "0", "-1", "0%", "101%", "%", "1.5", "five", "²", "1e3"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="such as 50"):
        parse_max_failures(text)


@pytest.mark.parametrize("text", ["", "6", "24:00", "06:60", "06:00 ", "noon", "-1:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """A deadline is a time of day."""
    with pytest.raises(ValueError, match=r"such as 06:00|must be in"):
        parse_time(text)


@given(st.datetimes(max_value=datetime(9000, 1, 1)), st.times())  # noqa: DTZ001 - local time
def test_a_deadline_is_the_next_such_time(now: datetime, wanted: time) -> None:
    """It lies ahead, at most a day, and shows the time that was asked for."""
    end = next_time(wanted, now)

    assert end.time() == wanted
    assert timedelta() < end - now <= timedelta(days=1)


def test_a_share_needs_a_sample() -> None:
    """One failure of three is no reason to stop, one of twenty is where 5 % are too many."""
    rules = StopRules(MaxFailures(share=0.05))

    assert rules.reached(captioned=2, failed=1, tokens=0) is None
    assert rules.reached(captioned=19, failed=1, tokens=0) == "max_failures"
    assert rules.reached(captioned=20, failed=1, tokens=0) is None


def test_counts_stop_where_they_are_reached() -> None:
    """The N-th failure and the last token stop a run, nothing before them does."""
    rules = StopRules(MaxFailures(count=3), max_tokens_total=100)

    assert rules.reached(captioned=0, failed=2, tokens=99) is None
    assert rules.reached(captioned=0, failed=3, tokens=0) == "max_failures"
    assert rules.reached(captioned=9, failed=0, tokens=100) == "max_tokens_total"
    assert StopRules().reached(captioned=10**9, failed=10**9, tokens=10**12) is None
