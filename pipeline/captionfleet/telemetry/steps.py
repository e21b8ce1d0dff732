"""Shows the progress of blocking work, on a terminal only (main process)."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar

from captionfleet import text
from captionfleet.telemetry.clock import monotonic_s
from captionfleet.telemetry.display import Display, has_width
from captionfleet.telemetry.wording import Picture, rate_in_words

__all__ = ["Steps", "show_steps"]

_EVERY_S = 0.2
_QUIET_S = 0.5  # shorter work needs no bar
_WHOLE = 1 - 1e-9  # of a sum of fractions
_T = TypeVar("_T")


class Steps:
    """Counts consecutive steps of work, and draws them on a terminal.

    Drawing happens while counting: blocking work leaves no other opportunity.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None and has_width(stream) else None
        self._display: Display | None = None
        self._next_s = monotonic_s() + _QUIET_S
        self._begun_s = monotonic_s()
        self._doing, self._unit = "", ""
        self._done, self._total = 0.0, 0.0

    def begin(self, doing: str, total: float, unit: str) -> None:
        """Start a step; `total` is its size in the unit."""
        self._doing, self._total, self._unit = doing, total, unit
        self._done, self._begun_s = 0.0, monotonic_s()

    def count(self, number: float = 1) -> None:
        """Count finished work."""
        self._done += number
        if self._stream is not None and (now_s := monotonic_s()) >= self._next_s:
            self._next_s = now_s + _EVERY_S
            self._display = self._display or Display(self._stream)
            self._display.show(self.picture(now_s - self._begun_s))

    def over(self, items: Iterable[_T]) -> Iterator[_T]:
        """The items, each counted when the next one is asked for."""
        for item in items:
            yield item
            self.count()

    def picture(self, elapsed_s: float) -> Picture:
        """The state to show, `elapsed_s` seconds into this step."""
        is_known = elapsed_s >= _QUIET_S and self._done > 0
        per_s = self._done / elapsed_s if is_known else 0.0
        left_s = (self._total - self._done) / per_s if per_s else 0.0
        unit = " MB" if self._unit == "MB" else ""
        total = max(math.ceil(max(self._total, self._done)), 1)
        is_whole = self._done >= self._total * _WHOLE
        return Picture(
            done=total if is_whole else int(self._done),
            total=total,
            unit=self._unit,
            rate=rate_in_words(per_s).replace("/", f"{unit}/"),
            left=f"ETA {text.rough(left_s)}" if 0 < left_s < math.inf else "",
            facts=(self._doing,),
        )

    def close(self) -> None:
        """Leave the last drawing on the terminal, with the cursor below it."""
        if self._display is not None:
            self._display.show(self.picture(monotonic_s() - self._begun_s))
            self._display.close()


@contextmanager
def show_steps(stream: TextIO | None) -> Iterator[Steps]:
    """Show the steps that blocking work counts; show nothing on None or without a terminal."""
    steps = Steps(stream)
    try:
        yield steps
    finally:
        steps.close()
