"""Computes the size and orientation of the prepared picture; pure (worker process)."""

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Crop", "Turn", "fitted_size_px", "output_size_px", "upright_turn"]

_LEAST_PX = 16
_MOST_PX = 4096
_NEARLY_PX = 4
_MATRIX_NUMBERS = 9


def output_size_px(
    width_px: int, height_px: int, sample_aspect: Fraction, turn_deg: int, out_height_px: int
) -> tuple[int, int]:
    """Width and height of the upright picture with square pixels, both even.

    The width is rounded to the nearest even number, halves up, as FFmpeg's `scale=-2:H` does, and
    limited to 16 to 4096 pixels.
    """
    shape = _upright_shape(width_px, height_px, sample_aspect, turn_deg)
    return min(max(_even(out_height_px * shape), _LEAST_PX), _MOST_PX), out_height_px


def fitted_size_px(
    width_px: int,
    height_px: int,
    sample_aspect: Fraction,
    turn_deg: int,
    box_px: tuple[int, int],
) -> tuple[int, int]:
    """The largest size inside a box that keeps the upright picture's shape, both sides even.

    A picture with almost the box's shape fills it.
    """
    shape = _upright_shape(width_px, height_px, sample_aspect, turn_deg)
    width, height = _even(box_px[1] * shape), _even(box_px[0] / shape)
    if width < box_px[0] - _NEARLY_PX and height >= box_px[1]:
        return max(width, _LEAST_PX), box_px[1]
    if height < box_px[1] - _NEARLY_PX and width >= box_px[0]:
        return box_px[0], max(height, _LEAST_PX)
    return box_px


def _upright_shape(
    width_px: int, height_px: int, sample_aspect: Fraction, turn_deg: int
) -> Fraction:
    shape = Fraction(width_px, height_px) * sample_aspect
    return 1 / shape if turn_deg % 180 else shape


def _even(length_px: Fraction) -> int:
    """The nearest even number, halves up."""
    return 2 * int(length_px / 2 + Fraction(1, 2))


@dataclass(frozen=True, slots=True)
class Crop:
    """Borders of a stored picture that are not shown, in its pixels."""

    left_px: int = 0
    right_px: int = 0
    top_px: int = 0
    bottom_px: int = 0

    def shown_px(self, width_px: int, height_px: int) -> tuple[int, int]:
        """The cropped width and height; the full size where the borders would leave nothing."""
        width = width_px - self.left_px - self.right_px
        height = height_px - self.top_px - self.bottom_px
        return (width, height) if min(width, height) > 0 else (width_px, height_px)


@dataclass(frozen=True, slots=True)
class Turn:
    """How to make a picture upright: a clockwise turn, and the FFmpeg filters for it."""

    turn_deg: int = 0
    filters: tuple[str, ...] = ()


def upright_turn(rotation_deg: int, matrix: tuple[int, ...]) -> Turn:
    """The turn that FFmpeg's command line applies (configure_input_video_filter).

    A rotation that is not a multiple of 90 degrees is rounded to one: FFmpeg would return a slanted
    picture with black corners. A matrix without a direction, such as all zeros, means no turn.

    Args:
        rotation_deg: the rotation of the display matrix, counterclockwise.
        matrix: the nine numbers of the display matrix, empty if there is none.
    """
    if len(matrix) != _MATRIX_NUMBERS or not _has_direction(matrix):
        return Turn()
    turn_deg = round(-rotation_deg / 90) * 90 % 360
    match turn_deg:
        case 90:
            return Turn(90, ("transpose=cclock_flip" if matrix[3] > 0 else "transpose=clock",))
        case 270:
            return Turn(270, ("transpose=clock_flip" if matrix[3] < 0 else "transpose=cclock",))
        case 180:
            flips = (matrix[0] < 0, "hflip"), (matrix[4] < 0, "vflip")
            return Turn(180, tuple(name for is_needed, name in flips if is_needed))
    return Turn(0, ("vflip",) if matrix[4] < 0 else ())


def _has_direction(matrix: tuple[int, ...]) -> bool:
    """Whether the matrix maps each axis to a direction; if not, libav's angle is NaN."""
    return any((matrix[0], matrix[3])) and any((matrix[1], matrix[4]))
