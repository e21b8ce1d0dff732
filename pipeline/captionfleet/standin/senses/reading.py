"""Reads digits and a corner mark from a frame, as a vision model would; pure."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["bright_corner", "read_digit"]

Gray = NDArray[np.uint8]

_BRIGHT = 128
_CORNER_SHARE = 0.2
_MIDDLE = (0.1, 0.9), (0.25, 0.75)  # rows and columns where a digit can be, as shares
_LEAST_SHARE = 0.2  # share of the height; smaller spots are noise
_FULL = 0.6

# Middles of the seven segments in a digit's box, as (row, column): top, its two sides, middle,
# lower two sides, bottom.
_SEGMENTS = (
    (0.08, 0.5),
    (0.27, 0.1),
    (0.27, 0.9),
    (0.5, 0.5),
    (0.73, 0.1),
    (0.73, 0.9),
    (0.92, 0.5),
)
_DIGITS = {
    "1110111": "0", "1011101": "2", "1011011": "3", "0111010": "4", "1101011": "5",
    "1101111": "6", "1010010": "7", "1111111": "8", "1111011": "9",
}  # fmt: skip


def read_digit(gray: Gray) -> str:
    """Return the seven-segment digit in the middle of a frame; empty if none can be read."""
    lit = _middle(gray) > _BRIGHT
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if len(rows) < _LEAST_SHARE * gray.shape[0]:
        return ""
    box = lit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _DIGITS.get("".join(str(int(_is_lit(box, *at))) for at in _SEGMENTS), "")


def bright_corner(gray: Gray) -> str:
    """Return the one corner with a bright mark, as in "top-left"; empty if there is not one."""
    height, width = (round(side * _CORNER_SHARE) for side in gray.shape)
    corners = {
        "top-left": gray[:height, :width],
        "top-right": gray[:height, -width:],
        "bottom-left": gray[-height:, :width],
        "bottom-right": gray[-height:, -width:],
    }
    lit = {name: float((part > _BRIGHT).mean()) for name, part in corners.items()}
    marked = [name for name, share in lit.items() if share > _CORNER_SHARE]
    return marked[0] if len(marked) == 1 else ""


def _middle(gray: Gray) -> Gray:
    (top, bottom), (left, right) = _MIDDLE
    height, width = gray.shape
    return gray[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]


def _is_lit(box: NDArray[np.bool_], row: float, column: float) -> bool:
    """Whether the pixels around a place in a box are mostly lit."""
    height, width = box.shape
    reach = max(1, round(0.04 * min(height, width)))
    y, x = int(row * (height - 1)), int(column * (width - 1))
    around = box[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return float(around.mean()) > _FULL
