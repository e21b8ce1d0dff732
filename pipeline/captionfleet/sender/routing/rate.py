"""Measures captions per second at one window size; pure (main process)."""

import math
from dataclasses import dataclass

__all__ = ["Rate"]


@dataclass(slots=True)
class Rate:
    """Captions per second at one window size; the first `skip` belong to the previous one."""

    skip: int
    wanted: int
    counted: int = 0
    idle: int = 0
    since_s: float = 0.0

    def count(self, now_s: float, *, is_full: bool) -> float | None:
        """The rate once it is known; nan if the window was not full, so that it shows nothing."""
        if self.skip > 0:
            self.skip -= 1
            self.since_s = now_s
            return None
        self.counted += 1
        self.idle += not is_full
        if self.counted < self.wanted:
            return None
        if 5 * self.idle > self.counted:
            return math.nan
        return self.counted / max(now_s - self.since_s, 1e-9)
