"""Draws the README's chart: CPU time of a clip, film by film, against what people do instead."""

from collections.abc import Iterator
from statistics import median
from typing import Any
from xml.sax.saxutils import escape

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
    height_px = _TOP_PX + len(films) * block_px
    width_px = _LABEL_PX + _BARS_PX + 60
    body = [*_legend()]
    for number, (name, film) in enumerate(films.items()):
        body += _film(name, film["cpu_s"], _TOP_PX + number * block_px)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width_px} {height_px}" '
        f'width="{width_px}" height="{height_px}" font-family="sans-serif" font-size="11" '
        'role="img" aria-label="CPU time of a clip against the two ffmpeg commands">\n'
        f'<rect width="{width_px}" height="{height_px}" fill="#ffffff"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _legend() -> Iterator[str]:
    yield (
        '<text x="0" y="12" font-weight="bold" fill="#222">CPU time of one clip, '
        "two ffmpeg commands = 1</text>"
    )
    left_px = 0
    for _, title, colour in _SERIES:
        yield f'<rect x="{left_px}" y="22" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{left_px + 14}" y="31" fill="#444">{escape(title)}</text>'
        left_px += 26 + round(6.5 * len(title))


def _film(name: str, cpu_s: dict[str, list[float]], top_px: int) -> Iterator[str]:
    middle_px = top_px + len(_SERIES) * _BAR_PX // 2 + 4
    yield (
        f'<text x="{_LABEL_PX - 8}" y="{middle_px}" text-anchor="end" fill="#222">'
        f"{escape(name)}</text>"
    )
    for number, (key, _, colour) in enumerate(_SERIES):
        each = [own / guide for own, guide in zip(cpu_s[key], cpu_s["guide"], strict=False)]
        share = median(each)
        top = top_px + number * _BAR_PX
        bar_px = min(share, 1.1) / 1.1 * _BARS_PX
        yield (
            f'<rect x="{_LABEL_PX}" y="{top}" width="{bar_px:.1f}" height="{_BAR_PX - 2}" '
            f'fill="{colour}"/>'
        )
        yield (
            f'<text x="{_LABEL_PX + bar_px + 4:.1f}" y="{top + 9}" fill="#444" font-size="9">'
            f"{share:.2f}</text>"
        )
