"""Which windows of a film become clips; pure (main process)."""

from typing import NamedTuple

__all__ = ["Window", "windows_of"]

# One frame is sampled for a second: less than one at the end holds no frame of its own.
_LEAST_REST_S = 1.0
# A header's time may be anything: two weeks in windows of a minute.
_MOST_WINDOWS = 20_000


class Window(NamedTuple):
    """A part of a film, in seconds from its zero; the film may end within it."""

    start_s: float
    end_s: float


def windows_of(film_s: float, window_s: float, overlap_s: float = 0.0) -> tuple[Window, ...]:
    """The windows that cover a film from its zero, each `overlap_s` into the one before.

    They lie on one grid whatever the length, so that they keep their ids if that is corrected; the
    last one may reach beyond the film. There is always one, and none of less than a second.
    """
    step_s = window_s - overlap_s
    windows = [Window(0.0, window_s)]
    while film_s - windows[-1].end_s >= _LEAST_REST_S and len(windows) < _MOST_WINDOWS:
        start_s = round(len(windows) * step_s, 3)
        windows.append(Window(start_s, start_s + window_s))
    return tuple(windows)
