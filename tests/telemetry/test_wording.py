"""What a progress display says in a width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.telemetry.steps import Steps
from captionfleet.telemetry.wording import Picture, shortened


@pytest.mark.parametrize(
    ("columns", "said"),
    [(40, "scaling up"), (48, "qwen3…: scaling up"), (59, "qwen3-omni-for-t…: scaling up")],
)
def test_a_narrow_wait_keeps_its_state_and_length(columns: int, said: str) -> None:
    """Where a reason is too long, the name in it is cut first, and how long it lasts never."""
    picture = Picture(
        done=12, total=5000, waiting="qwen3-omni-for-the-library: scaling up", waited="3 min"
    )
    assert picture.bar_format(columns) == f"  0% 12/5,000 waiting: {said}, 3 min"


def test_a_wide_wait_keeps_its_length() -> None:
    """Below the bar the reason is cut as well, never how long it lasts."""
    facts = ("12 failed", "12 preparing", "128 in flight", "12.3k tokens/s")
    reason = "qwen3-omni-for-the-library: scaling up"
    picture = Picture(done=12, total=5000, facts=facts, waiting=reason, waited="3 min")
    below = picture.below(80)
    assert below is not None
    assert len(below) <= 80
    assert below.endswith("scaling up, 3 min")


@given(st.text(min_size=1, max_size=60), st.text(max_size=20), st.integers(0, 120), st.booleans())
def test_no_reason_is_wider_than_its_room(
    name: str,
    state: str,
    columns: int,
    ascii_only: bool,  # noqa: FBT001 - hypothesis names it
) -> None:
    """Whatever a deployment is called and said to do, it stays within the columns."""
    for reason in (name, f"{name}: {state}"):
        assert len(shortened(reason, columns, ascii_only=ascii_only)) <= columns
        if len(reason) <= columns:
            assert shortened(reason, columns, ascii_only=ascii_only) == reason


@given(st.lists(st.floats(0, 1e6), max_size=5), st.floats(0, 1e6), st.floats(1e-3, 1e6))
def test_steps_are_never_past_their_end(counts: list[float], total: float, took_s: float) -> None:
    """A file that grows while it is read has no more than 100 %, and no time below zero."""
    steps = Steps()
    steps.begin("reading", total, "MB")
    for number in counts:
        steps.count(number)
    picture = steps.picture(took_s)
    assert 0 <= picture.share <= 1
    assert "-" not in picture.left
