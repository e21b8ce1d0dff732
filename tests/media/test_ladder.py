"""What is given up to fit into a request, rung by rung."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.media.ladder import Rung, next_rung, video_budget_bytes

FIRST = Rung(23, 360)


@given(st.integers(1, 50_000), st.integers(0, 20_000))
def test_the_budget_is_the_largest_that_stays_below(most: int, audio: int) -> None:
    """A video within the budget fits with its audio as base64; one block more does not."""
    budget = video_budget_bytes(most, audio)
    payload = [len(base64.b64encode(bytes(n))) for n in (budget, budget + 1, audio)]
    assert payload[1] + payload[2] >= most
    assert budget == 0 or payload[0] + payload[2] < most


@given(st.integers(10_000, 10**9), st.floats(0.01, 1.0))
def test_the_ladder_only_goes_down_and_ends(size_bytes: int, share: float) -> None:
    """CRF first, then height, each step lower than the last, at most six of them."""
    rung, seen = FIRST, [FIRST]
    while (lower := next_rung(FIRST, rung, size_bytes, int(size_bytes * share))) is not None:
        assert (lower.crf > rung.crf, lower.height_px < rung.height_px) != (False, False)
        assert lower.height_px == FIRST.height_px or lower.crf == 35
        assert lower.height_px % 2 == 0
        rung = lower
        seen.append(rung)
    assert len(seen) <= 7
    assert rung == Rung(35, 180)


@pytest.mark.parametrize(
    ("budget_bytes", "expected"),
    [
        (990_000, Rung(27, 360)),
        (700_000, Rung(31, 360)),
        (520_000, Rung(35, 360)),
        (350_000, Rung(35, 288)),
        (240_000, Rung(35, 240)),
        (10_000, Rung(35, 180)),
    ],
)
def test_the_size_seen_tells_how_far_to_go(budget_bytes: int, expected: Rung) -> None:
    """What is far too large skips the rungs that cannot do."""
    assert next_rung(FIRST, FIRST, 1_000_000, budget_bytes) == expected


def test_nothing_is_tried_when_sound_alone_is_too_much() -> None:
    """Without room for a video there is no rung to try."""
    assert video_budget_bytes(1000, 900) == 0
    assert next_rung(FIRST, FIRST, 1_000_000, 0) is None
