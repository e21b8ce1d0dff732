"""Draws progress bars on a terminal with tqdm, and prints log lines above them (main process)."""

import os
from contextlib import suppress
from threading import RLock
from typing import Any, TextIO

from tqdm import tqdm

from captionfleet.system.standard_streams import settle
from captionfleet.telemetry.wording import Picture, escaped

__all__ = ["Display", "has_width", "print_above"]

_shown: "list[Display]" = []


def has_width(stream: TextIO) -> bool:
    """Whether the stream is a terminal with a known width; a container may report 0 columns."""
    return stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0


def print_above(line: str, stream: TextIO) -> None:
    """Print a line to the stream, above the progress bar if there is one."""
    if _shown:
        _shown[-1].make_way(line, stream)
    else:
        print(line, file=stream, flush=True)


class Display:
    """A progress bar and a line below it; only the bar on a narrow terminal."""

    def __init__(self, stream: TextIO, *, leave: bool = True) -> None:
        tqdm.set_lock(RLock())  # tqdm's own lock is a system-wide semaphore for processes
        tqdm.monitor_interval = 0  # no refresh thread of tqdm's
        self._stream = stream
        self._ascii = not _can_show(stream)
        self._bar = self._line(0, leave=leave)
        self._below: tqdm[Any] | None = None
        _shown.append(self)

    def show(self, picture: Picture) -> None:
        """Draw one state of the run, unless the terminal is gone; its width may have changed."""
        with suppress(OSError):
            self._draw(picture)

    def _draw(self, picture: Picture) -> None:
        columns = os.get_terminal_size(self._stream.fileno()).columns - 1  # no line wraps
        beside = columns - 2  # the cursor stays after the bar, where a terminal echoes ^C
        self._set(self._bar, picture.bar_format(beside, ascii_only=self._ascii), beside, picture)
        below = picture.below(columns, ascii_only=self._ascii)
        if below is None:
            self._close_below()
        else:
            self._below = self._below or self._line(1, leave=False)
            self._set(self._below, escaped(below), columns, picture)
        self._stream.write("\r")  # overwrites what the terminal echoed, such as ^C
        self._stream.flush()

    def make_way(self, line: str, stream: TextIO) -> None:
        """Print a line above the bar."""
        with tqdm.external_write_mode(file=self._stream):
            print(line, file=stream, flush=True)
        self._stream.write("\r")
        self._stream.flush()

    def close(self) -> None:
        """Leave the bar on the terminal with the cursor below it, or erase it."""
        if self in _shown:
            _shown.remove(self)
        self._close_below()
        self._bar.close()
        settle(self._stream)  # the summary goes to another stream

    def _close_below(self) -> None:
        if self._below is not None:
            self._below.close()
            self._below = None

    def _line(self, position: int, *, leave: bool) -> "tqdm[Any]":
        # Only `show` draws: before the first state there is nothing to draw.
        bar: tqdm[Any] = tqdm(
            total=1, file=self._stream, position=position, leave=leave, delay=1e9, ascii=self._ascii
        )
        return bar

    @staticmethod
    def _set(bar: "tqdm[Any]", line: str, columns: int, picture: Picture) -> None:
        bar.ncols, bar.bar_format = columns, line
        bar.total, bar.n = max(picture.total or 1, 1), min(picture.done, picture.total or 0)
        bar.delay = 0
        bar.refresh()


def _can_show(stream: TextIO) -> bool:
    try:
        "\N{GREATER-THAN OR EQUAL TO}\N{FULL BLOCK}".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
