"""Draws the chart of x264's settings: CPU of each film against the guide's, and what it gives."""

from collections.abc import Iterator
from typing import Any

from benchmarks.chart import bar, legend, row_label, svg

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
    title = "CPU of the H.264, preset=fast crf=23 = 1; beside it: bytes, and mean PSNR beyond it"
    body = [*legend(title, _SERIES)]
    for number, (name, film) in enumerate(films.items()):
        body += _film(name, film, _TOP_PX + number * block_px)
    return svg(
        body,
        _LABEL_PX + _BARS_PX + _WORDS_PX,
        _TOP_PX + len(films) * block_px,
        "CPU, bytes and PSNR of x264 settings against preset fast",
    )


def _film(name: str, film: dict[str, dict[str, float]], top_px: int) -> Iterator[str]:
    yield row_label(name, _LABEL_PX - 8, top_px + len(_SERIES) * _BAR_PX // 2 + 4)
    for number, (preset, _, colour) in enumerate(_SERIES):
        row = film[preset]
        gain_db = round(row["psnr_db"], 2) + 0.0
        words = f"{row['cpu']:.2f}; bytes {row['bytes']:.2f}, {gain_db:+.2f} dB"
        size_px = min(row["cpu"], 1.0) * _BARS_PX, _BAR_PX - 2
        yield from bar(_LABEL_PX, top_px + number * _BAR_PX, size_px, colour, words)
