"""Numbers and durations as people read them."""

import pytest

from captionfleet import text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, text.UNKNOWN),
        (0.0004, "0.4 ms"),
        (0.28, "280 ms"),
        (1.5, "1.50 s"),
        (45.04, "45.0 s"),
        (90, "1 min 30 s"),
        (5400, "1 h 30 min"),
        (7200, "2 h"),
    ],
)
def test_durations_are_readable(value: float | None, shown: str) -> None:
    """A duration has the unit that suits it, and three digits at most."""
    assert text.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, "7"),
        (2.409, "2.41"),
        (1846, "1,846"),
        (13073, "13.1k"),
        (9.97e6, "9.97M"),
        (999_999, "1M"),
        (9_999.9, "10,000"),
        (999.6e6, "1G"),
        (2e12, "2T"),
    ],
)
def test_figures_are_short(value: float, shown: str) -> None:
    """A figure has three digits and a letter once it is large."""
    assert text.short(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, text.UNKNOWN), (999, "999 B"), (999_990, "1 MB"), (34.3e6, "34.3 MB")],
)
def test_sizes_have_their_unit(value: float | None, shown: str) -> None:
    """A size has the unit that gives it one to three digits."""
    assert text.size(value) == shown


def test_no_count_rounds_up_to_a_thousand_of_its_unit() -> None:
    """The last line of a run never says 1000.0k tokens."""
    assert text.short(999_960) == "1M"


def test_a_detail_that_repeats_its_meaning_adds_nothing() -> None:
    """Words without weight are no news; numbers, names and other words are."""
    meaning = "the file is not a video container that this program opens"
    assert not text.adds_to(meaning, "not a video container that this program opens")
    assert not text.adds_to(meaning, "")
    assert text.adds_to(meaning, "no video container in 12 bytes")
