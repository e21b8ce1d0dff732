"""Percentiles of what is measured clip by clip, in bounded memory; pure (main process)."""

from array import array
from dataclasses import dataclass
from math import ceil

__all__ = ["Measurements", "Percentiles"]

_MAX_KEPT = 1 << 17


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of measured values in seconds; each is a value that was measured (nearest rank)."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float
    sum: float


class Measurements:
    """Values as they come, at most 1 MB of them.

    The percentiles are exact up to 131,072 values; of more, every second counts for them, then
    every fourth, and so on. All other figures are always exact.
    """

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0.0
        self._max = 0.0
        self._kept = array("d")
        self._kept_each = 1

    def add(self, value: float) -> None:
        """Take a value of 0 or more into account."""
        if self._count % self._kept_each == 0:
            self._kept.append(value)
        self._count += 1
        self._sum += value
        self._max = max(self._max, value)
        if len(self._kept) >= _MAX_KEPT:
            self._kept, self._kept_each = self._kept[::2], self._kept_each * 2

    def percentiles(self) -> Percentiles | None:
        """None where nothing was measured."""
        if not self._count:
            return None
        ordered = sorted(self._kept)
        p50, p90, p99 = (ordered[ceil(share * len(ordered)) - 1] for share in (0.5, 0.9, 0.99))
        mean = self._sum / self._count
        return Percentiles(self._count, mean, p50, p90, p99, self._max, self._sum)
