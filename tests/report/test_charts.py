"""The charts: exact shapes, whatever the values."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.report.charts import bars, nice_ceiling, stack, steps


def paths(chart: str) -> list[tuple[str | None, str | None]]:
    """Class and outline of every path."""
    return [(path.get("class"), path.get("d")) for path in ET.fromstring(chart).iter("path")]  # noqa: S314 - our own


def test_steps_follow_the_values_and_leave_gaps() -> None:
    """Each value is a level over its slot; where nothing is known nothing is drawn."""
    chart = steps([2.0, 2.0, 4.0, None, 1.0], [4.0], top=4.0, slots=6, label="rate")

    assert paths(chart) == [
        ("area", "M0 30H80V0H120V60H0Z"),
        ("area", "M160 45H200V60H160Z"),
        ("line", "M0 0H40"),
    ]


def test_bars_stand_on_each_other() -> None:
    """The second part begins where the first ends, and no bar is drawn for nothing."""
    chart = bars([("warn", [1, 0]), ("bad", [3, 2])], top=4, slots=2, label="wrong")

    assert paths(chart) == [
        ("warn", "M0 60V45H120V60Z"),
        ("bad", "M0 45V0H120V45ZM120 60V30H240V60Z"),
    ]


def test_a_stack_is_as_long_as_its_parts() -> None:
    """Parts lie side by side, in the share that they are of the whole."""
    chart = ET.fromstring(stack([("a", 1), ("b", 0), ("c", 2)], whole=4, label="stages"))  # noqa: S314 - our own

    found = [(r.get("class"), r.get("x"), r.get("width")) for r in chart]
    assert found == [("a", "0", "60"), ("c", "60", "120")]


numbers = st.floats(0, 1e12) | st.sampled_from([0.0, 5e-324, 1e-300])


@given(st.lists(st.none() | numbers, max_size=12), numbers, st.integers(0, 12), st.text(max_size=9))
def test_any_values_give_a_picture(
    values: list[float | None], top: float, slots: int, label: str
) -> None:
    """A chart is well-formed and says what it shows, whatever the values and the label."""
    legal = "".join(c for c in label if c.isprintable())
    known = [value or 0.0 for value in values]
    charts = [
        steps(values, values, top=nice_ceiling(top), slots=slots, label=legal),
        bars([("a", known), ("b", known)], top=nice_ceiling(top), slots=slots, label=legal),
        stack([("a", top), ("b", 1.0)], whole=top, label=legal),
    ]
    for chart in charts:
        svg = ET.fromstring(chart)  # noqa: S314 - our own
        assert (svg.get("role"), svg.get("aria-label")) == ("img", legal)
        assert "nan" not in chart
        assert "inf" not in chart


@pytest.mark.parametrize(
    ("value", "ceiling"),
    [(0, 1), (1, 1), (1.01, 1.2), (7, 8), (83, 100), (0.0031, 0.004), (240, 250), (-5, 1)],
)
def test_axes_end_at_round_numbers(value: float, ceiling: float) -> None:
    """An axis ends a little above the largest value."""
    assert nice_ceiling(value) == pytest.approx(ceiling)
