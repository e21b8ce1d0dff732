"""The size of the prepared picture."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.media.facts.geometry import fitted_size_px, output_size_px


@pytest.mark.parametrize(
    ("source", "sample_aspect", "turn_deg", "expected"),
    [
        ((1920, 1080), Fraction(1), 0, (640, 360)),
        ((854, 480), Fraction(1), 0, (640, 360)),
        ((1080, 1920), Fraction(1), 0, (202, 360)),
        ((1920, 1080), Fraction(1), 90, (202, 360)),
        ((640, 272), Fraction(1), 0, (848, 360)),
        ((720, 576), Fraction(64, 45), 0, (640, 360)),
        ((720, 576), Fraction(64, 45), 270, (202, 360)),
        ((176, 144), Fraction(1), 180, (440, 360)),
        ((10_000, 10), Fraction(1), 0, (4096, 360)),
        ((10, 10_000), Fraction(1), 0, (16, 360)),
    ],
)
def test_known_shapes(
    source: tuple[int, int],
    sample_aspect: Fraction,
    turn_deg: int,
    expected: tuple[int, int],
) -> None:
    """Sizes are those of FFmpeg's scale=-2:360 on the upright picture with square pixels."""
    assert output_size_px(*source, sample_aspect, turn_deg, 360) == expected


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([0, 90, 180, 270]))
def test_both_sides_are_even_whatever_the_source(width: int, height: int, turn_deg: int) -> None:
    """An odd side would be refused by H.264's 4:2:0."""
    size = output_size_px(width, height, Fraction(1), turn_deg, 360)
    assert all(side % 2 == 0 for side in size)


@pytest.mark.parametrize(
    ("source", "sample_aspect", "turn_deg", "expected"),
    [
        ((1280, 720), Fraction(1), 0, (640, 360)),
        ((720, 1280), Fraction(1), 0, (202, 360)),
        ((720, 1280), Fraction(1), 90, (640, 360)),
        ((640, 480), Fraction(1), 0, (480, 360)),
        ((720, 576), Fraction(64, 45), 0, (640, 360)),
        ((640, 272), Fraction(1), 0, (640, 272)),
        ((642, 360), Fraction(1), 0, (640, 360)),
        ((10_000, 10), Fraction(1), 0, (640, 16)),
    ],
)
def test_a_shape_that_changes_midway_is_kept(
    source: tuple[int, int], sample_aspect: Fraction, turn_deg: int, expected: tuple[int, int]
) -> None:
    """A picture is fitted into the clip's size, not stretched; a rounding error shows no bars."""
    assert fitted_size_px(*source, sample_aspect, turn_deg, (640, 360)) == expected


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(8, 2000), st.integers(8, 2000))
def test_fitted_pictures_are_even_and_inside(
    width: int, height: int, box_w: int, box_h: int
) -> None:
    """Whatever the shape, the picture does not stick out."""
    box = (2 * box_w, 2 * box_h)
    size = fitted_size_px(width, height, Fraction(1), 0, box)
    assert all(side % 2 == 0 and side <= most for side, most in zip(size, box, strict=True))
