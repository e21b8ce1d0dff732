"""Computes which windows of a film become clips; pure (main process)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from captionfleet.messages import Row

__all__ = [
    "FIRST_WINDOWS",
    "Cutting",
    "Window",
    "asked_window",
    "is_longer",
    "scene_windows",
    "seconds_in",
    "window_at",
    "windows_of",
]

# Each second has one frame: a shorter rest at the end has none of its own.
_LEAST_REST_S = 1.0
# A header may state any length: this is two weeks in windows of a minute.
_MOST_WINDOWS = 20_000
# Far less than a sample of sound: 60.1 - 0.1 is a little more than 60 in floating point.
_ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True)
class Cutting:
    """Which part of a film is captioned: its first window, all windows, or its scenes."""

    segments: Literal["first", "all", "scenes"] = "first"
    overlap_s: float = 0.0


FIRST_WINDOWS = Cutting()


class Window(NamedTuple):
    """A part of a film, in seconds from its start; it may reach beyond the film's end."""

    start_s: float
    end_s: float


def windows_of(film_s: float, window_s: float, overlap_s: float = 0.0) -> tuple[Window, ...]:
    """The windows that cover a film from its start, each overlapping the one before by `overlap_s`.

    They lie on a grid that does not depend on the film's length, so that ids survive a corrected
    length; the last window may reach beyond the film. There is at least one, and none of less than
    a second.
    """
    windows = [Window(0.0, window_s)]
    while film_s - windows[-1].end_s >= _LEAST_REST_S and len(windows) < _MOST_WINDOWS:
        windows.append(window_at(len(windows), window_s, overlap_s))
    return tuple(windows)


def scene_windows(scene_ends_s: Sequence[float], min_s: float, max_s: float) -> tuple[Window, ...]:
    """The windows of a film by its scenes, up to the end of the last scene.

    A scene shorter than `min_s` joins the next one, the last joins the one before. A stretch longer
    than `max_s` is cut into equal parts. Every window is at least `min_s` long if that is at most
    half of `max_s` and the film is not shorter.
    """
    *changes_s, film_s = scene_ends_s
    cuts_s = [0.0]
    for change_s in changes_s:
        if change_s - cuts_s[-1] >= min_s and film_s - change_s >= min_s:
            cuts_s.append(change_s)
    return tuple(
        window
        for begin_s, end_s in pairwise([*cuts_s, film_s])
        for window in _equal_parts(begin_s, end_s, max_s)
    )


def _equal_parts(begin_s: float, end_s: float, max_s: float) -> Iterator[Window]:
    count = max(1, math.ceil((end_s - begin_s - _ROUNDING_S) / max_s))
    edges_s = [round(begin_s + (end_s - begin_s) * place / count, 3) for place in range(count + 1)]
    yield from (Window(*edges) for edges in pairwise(edges_s))


def window_at(number: int, window_s: float, overlap_s: float) -> Window:
    """The window with this number on the grid, from 0."""
    start_s = round(number * (window_s - overlap_s), 3)
    return Window(start_s, start_s + window_s)


def asked_window(row: Row, max_seconds: float) -> Window | None:
    """The window that a row of a list asks for; None if it names the whole film.

    By default it begins with the film and has the length of a clip.
    """
    if row.start_s is None and row.end_s is None:
        return None
    start_s = row.start_s or 0.0
    return Window(start_s, start_s + max_seconds if row.end_s is None else row.end_s)


def is_longer(window: Window, max_seconds: float) -> bool:
    """Whether a window is too long for one clip."""
    return window.end_s - window.start_s > max_seconds + _ROUNDING_S


def seconds_in(window: Window, film_s: float) -> float:
    """The seconds of a window that a film of this length fills; all if the length is unknown."""
    until_s = min(window.end_s, film_s) if film_s > 0 else window.end_s
    return max(0.0, until_s - window.start_s)
