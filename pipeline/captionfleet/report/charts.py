"""Draws charts as SVG without text, so that they can stretch; pure (main process).

The page adds the labels. Its style sheet sets colours by class.
"""

from collections.abc import Sequence
from html import escape

from markupsafe import Markup

__all__ = ["bars", "nice_ceiling", "stack", "steps"]

_WIDTH, _HEIGHT = 240.0, 60.0
_LEAST = 1e-12
_STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


def nice_ceiling(value: float) -> float:
    """A round number of at least the value, to end an axis at."""
    if value < _LEAST:
        return 1.0
    scale = 1.0
    while value > scale * 10:
        scale *= 10
    while value <= scale:
        scale /= 10
    return next(step * scale for step in _STEPS if value <= step * scale * (1 + 1e-9))


def steps(
    filled: Sequence[float | None],
    line: Sequence[float | None] = (),
    *,
    top: float,
    slots: int,
    label: str,
) -> Markup:
    """A filled step curve, and a second curve over it as a line; gaps where values are unknown.

    Args:
        filled: one value for each of the first slots; the same for `line`.
        line: the second curve.
        top: the value at the upper edge.
        slots: how many values fill the width of the chart.
        label: the text for screen readers.
    """
    areas = "".join(
        f'<path class="area" d="{_area(run, begin, top, slots)}"/>' for begin, run in _runs(filled)
    )
    lines = "".join(
        f'<path class="line" d="{_line(run, begin, top, slots)}"/>' for begin, run in _runs(line)
    )
    return _svg("steps", areas + lines, label)


def bars(
    parts: Sequence[tuple[str, Sequence[float]]], *, top: float, slots: int, label: str
) -> Markup:
    """Bars stacked from below, each part with its own class."""
    heights = [0.0] * slots
    shapes = []
    for name, values in parts:
        marks = []
        for slot, value in enumerate(values[:slots]):
            if value > 0:
                begin, heights[slot] = heights[slot], heights[slot] + value
                marks.append(_box(slot, begin, heights[slot], top, slots))
        if marks:
            shapes.append(f'<path class="{escape(name)}" d="{"".join(marks)}"/>')
    return _svg("bars", "".join(shapes), label)


def stack(parts: Sequence[tuple[str, float]], *, whole: float, label: str) -> Markup:
    """One horizontal bar of parts, each with its own class; its full length is `whole`."""
    at, shapes = 0.0, []
    for name, value in parts:
        width = _WIDTH * min(value / whole, 1.0) if whole > 0 else 0.0
        if width > 0:
            shapes.append(
                f'<rect class="{escape(name)}" x="{_n(at)}" y="0" '
                f'width="{_n(width)}" height="{_n(_HEIGHT)}"/>'
            )
        at += width
    return _svg("stack", "".join(shapes), label)


def _svg(kind: str, content: str, label: str) -> Markup:
    return Markup(  # noqa: S704 - numbers, and names that are escaped
        f'<svg class="chart {kind}" viewBox="0 0 {_n(_WIDTH)} {_n(_HEIGHT)}" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape(label)}">{content}</svg>'
    )


def _runs(values: Sequence[float | None]) -> list[tuple[int, list[float]]]:
    """The stretches without a gap, each with its first slot."""
    runs: list[tuple[int, list[float]]] = []
    is_open = False
    for slot, value in enumerate(values):
        if value is None:
            is_open = False
        elif is_open:
            runs[-1][1].append(value)
        else:
            runs.append((slot, [value]))
            is_open = True
    return runs


def _line(values: list[float], begin: int, top: float, slots: int) -> str:
    """Horizontal at each value, vertical between them; equal neighbours are one move."""
    moves = [f"M{_x(begin, slots)} {_y(values[0], top)}"]
    for slot, (value, after) in enumerate(zip(values, [*values[1:], None], strict=True), begin + 1):
        if value != after:
            moves.append(f"H{_x(slot, slots)}")
            moves.extend([] if after is None else [f"V{_y(after, top)}"])
    return "".join(moves)


def _area(values: list[float], begin: int, top: float, slots: int) -> str:
    return f"{_line(values, begin, top, slots)}V{_n(_HEIGHT)}H{_x(begin, slots)}Z"


def _box(slot: int, low: float, high: float, top: float, slots: int) -> str:
    return (
        f"M{_x(slot, slots)} {_y(low, top)}V{_y(high, top)}H{_x(slot + 1, slots)}V{_y(low, top)}Z"
    )


def _x(slot: float, slots: int) -> str:
    return _n(_WIDTH * slot / max(slots, 1))


def _y(value: float, top: float) -> str:
    return _n(_HEIGHT * (1 - min(max(value / top, 0.0), 1.0)))


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
