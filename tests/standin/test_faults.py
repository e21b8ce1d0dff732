"""Faults: their text and their draw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.standin.faults import Fault, FaultKind, FaultPlan, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("429:0.1", Fault(kind=FaultKind.STATUS, status=429, rate=0.1)),
        (
            "429+retry-after=2:0.1",
            Fault(kind=FaultKind.STATUS, status=429, retry_after_s=2, rate=0.1),
        ),
        ("502-html", Fault(kind=FaultKind.STATUS, status=502, html=True)),
        ("503+first=3", Fault(kind=FaultKind.STATUS, status=503, first=3)),
        ("reset-before+after=10", Fault(kind=FaultKind.RESET_BEFORE, after=10)),
        ("slow+seconds=0.5:1", Fault(kind=FaultKind.SLOW, seconds=0.5)),
        ("scaling-up", Fault(kind=FaultKind.SCALING_UP)),
    ],
)
def test_fault_text_is_read(text: str, fault: Fault) -> None:
    """Every part of a fault's text ends up in the fault."""
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    "text",
    " status 200 700 502-htm 42x hang:2 hang:x hang: hang:nan hang+first=-1 hang+first=1.5 "
    "hang+seconds=nan hang+often=1 429+retry-after".split(" "),
)
def test_bad_fault_text_names_the_kinds(text: str) -> None:
    """A text that is no fault is refused with the kinds that there are."""
    with pytest.raises(ValueError, match="reset-during, hang, truncate, garbage"):
        parse_fault(text)


@given(seed=st.integers(), ordinal=st.integers(1, 10_000))
def test_draw_depends_on_seed_and_ordinal_alone(seed: int, ordinal: int) -> None:
    """Two plans with the same seed draw the same fault for the same request."""
    faults = (parse_fault("429:0.3"), parse_fault("hang:0.3"))
    assert FaultPlan(faults, seed).draw(ordinal) == FaultPlan(faults, seed).draw(ordinal)


def test_each_fault_keeps_its_rate() -> None:
    """A fault behind another still hits its own share of the requests."""
    plan = FaultPlan((parse_fault("429:0.2"), parse_fault("hang:0.3")), seed=7)
    drawn = [fault.label if fault else None for fault in map(plan.draw, range(1, 5001))]
    shares = {label: drawn.count(label) / 5000 for label in ("429", "hang", None)}
    assert shares == pytest.approx({"429": 0.2, "hang": 0.3, None: 0.5}, abs=0.03)


def test_fault_strikes_only_in_its_window() -> None:
    """After=2 and first=3 concern the third to the fifth request."""
    plan = FaultPlan((parse_fault("500+after=2+first=3"),))
    assert [bool(plan.draw(ordinal)) for ordinal in range(1, 8)] == [False] * 2 + [True] * 3 + [
        False
    ] * 2
