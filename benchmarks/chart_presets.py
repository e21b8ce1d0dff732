"""Draws the chart of x264's settings: CPU of each film against the guide's, and what it gives."""

from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

__all__ = ["drawn_presets"]

_SERIES = (
    ("one_fps", "one_fps, the default", "#2f6f9f"),
    ("faster", "faster", "#c3c9d0"),
    ("veryfast", "veryfast", "#dfe3e7"),
)
_LABEL_PX, _BARS_PX, _WORDS_PX, _BAR_PX, _GAP_PX, _TOP_PX = 130, 300, 270, 12, 12, 46


def drawn_presets(films: dict[str, Any]) -> str:
    """The chart as SVG, from the rows of the encoding benchmark; `fast` with crf 23 is 1."""
    block_px = len(_SERIES) * _BAR_PX + _GAP_PX
    height_px = _TOP_PX + len(films) * block_px
    width_px = _LABEL_PX + _BARS_PX + _WORDS_PX
    body = list(_legend())
    for number, (name, film) in enumerate(films.items()):
        body += _film(name, film, _TOP_PX + number * block_px)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width_px} {height_px}" '
        f'width="{width_px}" height="{height_px}" font-family="sans-serif" font-size="11" '
        'role="img" aria-label="CPU, bytes and PSNR of x264 settings against preset fast">\n'
        f'<rect width="{width_px}" height="{height_px}" fill="#ffffff"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _legend() -> Iterator[str]:
    yield (
        '<text x="0" y="12" font-weight="bold" fill="#222">CPU of the H.264, preset=fast crf=23 '
        "= 1; beside it: bytes, and mean PSNR beyond it</text>"
    )
    left_px = 0
    for _, title, colour in _SERIES:
        yield f'<rect x="{left_px}" y="22" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{left_px + 14}" y="31" fill="#444">{escape(title)}</text>'
        left_px += 26 + round(6.5 * len(title))


def _film(name: str, film: dict[str, dict[str, float]], top_px: int) -> Iterator[str]:
    middle_px = top_px + len(_SERIES) * _BAR_PX // 2 + 4
    yield (
        f'<text x="{_LABEL_PX - 8}" y="{middle_px}" text-anchor="end" fill="#222">'
        f"{escape(name)}</text>"
    )
    for number, (preset, _, colour) in enumerate(_SERIES):
        row, top = film[preset], top_px + number * _BAR_PX
        bar_px = min(row["cpu"], 1.0) * _BARS_PX
        words = (
            f"{row['cpu']:.2f}; bytes {row['bytes']:.2f}, {round(row['psnr_db'], 2) + 0.0:+.2f} dB"
        )
        yield (
            f'<rect x="{_LABEL_PX}" y="{top}" width="{bar_px:.1f}" height="{_BAR_PX - 2}" '
            f'fill="{colour}"/>'
        )
        yield (
            f'<text x="{_LABEL_PX + bar_px + 4:.1f}" y="{top + 9}" fill="#444" font-size="9">'
            f"{words}</text>"
        )
