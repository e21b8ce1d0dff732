"""One clock is made of a clock that is set anew."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from captionfleet.media.opening.clock import DoubtedClock, JoinedClock

FRAME_US = 40_000


def corrected(clock: JoinedClock, stream: int, dts_us: list[int]) -> list[int]:
    return [dts + clock.correct(stream, dts, FRAME_US) for dts in dts_us]


def ticking(begin_us: int, count: int = 5) -> list[int]:
    return [begin_us + n * FRAME_US for n in range(count)]


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=5))
def test_time_passes_frame_by_frame(begins_us: list[int]) -> None:
    """Whatever the clock is set to, each packet follows its predecessor, or after a short gap."""
    clock = JoinedClock()
    seen = [at for begin in begins_us for at in corrected(clock, 0, ticking(begin))]
    steps = [b - a for a, b in itertools.pairwise(seen)]
    assert all(-100_000 <= step <= 10_000_000 + FRAME_US for step in steps)


def test_a_steady_clock_is_left_alone() -> None:
    """Gaps and reorderings that a sound file has change nothing."""
    times = [*ticking(0), *ticking(9_000_000), 9_150_000]
    assert corrected(JoinedClock(), 0, times) == times


def test_a_clock_set_back_goes_on() -> None:
    """The packet after the jump follows the last one."""
    assert corrected(JoinedClock(), 0, [*ticking(40_000_000), *ticking(0)]) == ticking(
        40_000_000, 10
    )


def test_all_streams_move_together() -> None:
    """What one stream's jump corrects, corrects the other's packets."""
    clock = JoinedClock()
    corrected(clock, 0, ticking(0))
    corrected(clock, 1, ticking(10_000))
    assert corrected(clock, 0, [90_000_000]) == [200_000]
    assert corrected(clock, 1, [90_010_000]) == [210_000]


def test_a_stream_that_begins_late_joins_the_others() -> None:
    """A first packet far from where the others are is brought to them."""
    clock = JoinedClock()
    corrected(clock, 0, ticking(0))
    assert corrected(clock, 1, [50_000_000]) == [160_000]


def test_a_time_days_away_is_not_believed() -> None:
    """Forty hours ahead or behind are absurd, then and ever after; twenty are a pause."""
    hour_us = 3600 * 1_000_000
    clock = DoubtedClock()
    assert not clock.is_absurd(0, 50 * hour_us)  # where a clock begins is its own affair
    clock.advance(0, 50 * hour_us, FRAME_US)
    assert [clock.is_absurd(0, at * hour_us) for at in (10, 30, 70, 90)] == [1, 0, 0, 1]
    clock.advance(0, None, FRAME_US)
    assert clock.is_absurd(0, 90 * hour_us)
    assert not clock.is_absurd(1, 90 * hour_us)  # another stream has a clock of its own
