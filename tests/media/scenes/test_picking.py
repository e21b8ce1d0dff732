"""Which differences between pictures are changes of scene."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.media.scenes.picking import ChangePicker

RATE = 25


def changes(differences: Sequence[float]) -> list[int]:
    """The places of the pictures that begin a scene."""
    picker = ChangePicker()
    for number, difference in enumerate(differences):
        picker.see(number / RATE, difference)
    picker.finish()
    return [round(RATE * at_s) for at_s in picker.changes_s]


@pytest.mark.parametrize("around", [0.0, 1.0, 8.0])
@pytest.mark.parametrize("place", [1, 30, 99])
def test_a_cut_stands_out(around: float, place: int) -> None:
    """In a still picture and in one that moves, at the beginning and at the end of a film."""
    differences = [around] * 100
    differences[place] = 30.0
    assert changes(differences) == [place]


def test_what_moves_is_no_change() -> None:
    """Neither a camera that sways, nor a light that slowly changes."""
    assert changes([20.0 + number % 3 for number in range(100)]) == []
    assert changes([min(number / 10, 10.0) for number in range(200)]) == []
    assert changes([4.9 * (number % 10 == 0) for number in range(100)]) == []


def test_of_two_that_are_close_the_larger_counts() -> None:
    """A flash before a cut does not hide it."""
    differences = [1.0] * 100
    differences[40], differences[50] = 10.0, 40.0
    assert changes(differences) == [50]


def test_pictures_before_the_zero_begin_no_scene() -> None:
    """Those that come before the film's zero are not shown."""
    picker = ChangePicker()
    for at_s in (-0.2, -0.1, 0.0, 0.1):
        picker.see(at_s, 50.0 * (at_s == 0.0))
    picker.finish()
    assert picker.changes_s == []


@given(st.lists(st.floats(0, 100), max_size=300))
def test_scenes_are_no_shorter_than_half_a_second(differences: list[float]) -> None:
    """Whatever a film does: what is remembered of it stays small."""
    found = changes(differences)
    assert all(after - before >= RATE // 2 for before, after in pairwise(found))
