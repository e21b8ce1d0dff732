"""Draws the README's chart: CPU time of a clip, film by film, against what people do instead."""

from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any
from xml.sax.saxutils import escape

Series = tuple[str, str, str]
"""Key, name and colour."""

_SERIES = (
    ("guide", "two ffmpeg commands", "#9aa3ad"),
    ("one_ffmpeg", "one ffmpeg, two outputs", "#c3c9d0"),
    ("pyav", "PyAV, every frame", "#dfe3e7"),
    ("exact", "captionfleet, exact", "#2f6f9f"),
    ("fast", "captionfleet, fast", "#57a57c"),
)
_LABEL_PX, _BARS_PX, _BAR_PX, _GAP_PX, _TOP_PX = 150, 520, 11, 16, 46


def drawn(ratios: dict[str, Any]) -> str:
    """The chart as SVG, from the ratios of the media benchmark.

    Bars are shares of what the two commands take for that film: seconds depend on the machine.
    """
    films = ratios["films"]
    block_px = len(_SERIES) * _BAR_PX + _GAP_PX
    body = [*legend("CPU time of one clip, two ffmpeg commands = 1", _SERIES)]
    for number, (name, film) in enumerate(films.items()):
        body += _film(name, film["cpu_s"], _TOP_PX + number * block_px)
    return svg(
        body,
        _LABEL_PX + _BARS_PX + 60,
        _TOP_PX + len(films) * block_px,
        "CPU time of a clip against the two ffmpeg commands",
    )


def svg(body: Iterable[str], width_px: int, height_px: int, label: str) -> str:
    """A chart of this size; `label` is what a screen reader says of it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width_px} {height_px}" '
        f'width="{width_px}" height="{height_px}" font-family="sans-serif" font-size="11" '
        f'role="img" aria-label="{escape(label)}">\n'
        f'<rect width="{width_px}" height="{height_px}" fill="#ffffff"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def legend(title: str, series: Sequence[Series]) -> Iterator[str]:
    """The title, and below it the colour of each series."""
    yield f'<text x="0" y="12" font-weight="bold" fill="#222">{escape(title)}</text>'
    left_px = 0
    for _, name, colour in series:
        yield f'<rect x="{left_px}" y="22" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{left_px + 14}" y="31" fill="#444">{escape(name)}</text>'
        left_px += 26 + round(6.5 * len(name))


def row_label(name: str, right_px: int, middle_px: int) -> str:
    """The name of a film, beside its bars."""
    return (
        f'<text x="{right_px}" y="{middle_px}" text-anchor="end" fill="#222">{escape(name)}</text>'
    )


def bar(
    left_px: int, top_px: int, size_px: tuple[float, int], colour: str, words: str
) -> Iterator[str]:
    """A bar of this length and height, and what it says at its end."""
    length_px, height_px = size_px
    yield (
        f'<rect x="{left_px}" y="{top_px}" width="{length_px:.1f}" height="{height_px}" '
        f'fill="{colour}"/>'
    )
    yield (
        f'<text x="{left_px + length_px + 4:.1f}" y="{top_px + 9}" fill="#444" font-size="9">'
        f"{words}</text>"
    )


def _film(name: str, cpu_s: dict[str, list[float]], top_px: int) -> Iterator[str]:
    yield row_label(name, _LABEL_PX - 8, top_px + len(_SERIES) * _BAR_PX // 2 + 4)
    for number, (key, _, colour) in enumerate(_SERIES):
        each = [own / guide for own, guide in zip(cpu_s[key], cpu_s["guide"], strict=False)]
        share = median(each)
        size_px = min(share, 1.1) / 1.1 * _BARS_PX, _BAR_PX - 2
        yield from bar(_LABEL_PX, top_px + number * _BAR_PX, size_px, colour, f"{share:.2f}")
