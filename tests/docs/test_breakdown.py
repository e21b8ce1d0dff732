"""The benchmark that divides CPU time by function names functions that exist."""

from benchmarks.breakdown import PARTS


def test_measured_functions_exist() -> None:
    """Each function whose time is measured is where the benchmark looks for it."""
    places = [place for part in PARTS.values() for place in part]
    assert places
    assert [place for place in places if not callable(getattr(*place, None))] == []
