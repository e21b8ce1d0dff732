"""Computes percentiles, means and histograms in bounded memory; pure."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Histogram", "Measurements", "Percentiles"]

_MOST_KEPT = 1 << 17  # 1 MB of doubles
_PER_DECADE = 230  # neighbouring buckets differ by 1 %
_LEAST, _HALF = 1e-6, 0.5


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Statistics of measured values; each percentile is a measured value (nearest rank)."""

    count: int
    mean: float
    std: float
    p50: float
    p90: float
    p99: float
    max: float
    sum: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Percentiles | None":
        """Statistics of the values; None where there are none."""
        measurements = Measurements()
        for value in values:
            measurements.add(value)
        return measurements.percentiles()


class Measurements:
    """Collects values in at most 1 MB.

    Percentiles are exact up to 131,072 values; beyond that they use every second value, then every
    fourth, and so on. All other statistics are always exact.
    """

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0.0
        self._mean = 0.0
        self._squares = 0.0  # of the distances from the mean, by Welford's update
        self._max = 0.0
        self._kept = array("d")
        self._kept_each = 1

    def add(self, value: float) -> None:
        """Add a value of at least 0."""
        if self._count % self._kept_each == 0:
            self._kept.append(value)
        self._count += 1
        self._sum += value
        distance = value - self._mean
        self._mean += distance / self._count
        self._squares += distance * (value - self._mean)
        self._max = max(self._max, value)
        if len(self._kept) >= _MOST_KEPT:
            self._kept, self._kept_each = self._kept[::2], self._kept_each * 2

    def percentiles(self) -> Percentiles | None:
        """Statistics of the values so far; None where there are none."""
        if not self._count:
            return None
        ordered = sorted(self._kept)
        p50, p90, p99 = (ordered[_rank(share, len(ordered)) - 1] for share in (0.5, 0.9, 0.99))
        std = math.sqrt(self._squares / self._count)
        mean = self._sum / self._count
        return Percentiles(self._count, mean, std, p50, p90, p99, self._max, self._sum)


_HALF = 0.5


@dataclass(slots=True)
class Histogram:
    """Counts positive values in buckets of equal ratio, so that percentiles are right to 0.5 %."""

    count: int = 0
    sum: float = 0.0
    min: float = math.inf
    max: float = -math.inf
    _buckets: Counter[int] = field(default_factory=Counter)

    def add(self, value: float) -> None:
        """Add one value; values below a millionth count as a millionth."""
        self.count += 1
        self.sum += value
        self.min, self.max = min(self.min, value), max(self.max, value)
        self._buckets[round(_PER_DECADE * math.log10(max(value, _LEAST)))] += 1

    @property
    def mean(self) -> float:
        """The mean; 0.0 without values."""
        return self.sum / self.count if self.count else 0.0

    def percentile(self, share: float) -> float:
        """The value at this share, by nearest rank; 0.0 without values."""
        left = _rank(share, self.count)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return min(max(10 ** (bucket / _PER_DECADE), self.min), self.max)
        return 0.0

    def percentile_or_none(self, share: float) -> float | None:
        """The percentile; None if there are so few values that it would be the largest one.

        A percentile above the half needs one value beyond it: p90 needs ten values, p99 a hundred.
        """
        least = 1 if share <= _HALF else round(1 / (1 - share))
        return self.percentile(share) if self.count >= least else None

    def counts(self, low: float, high: float, bins: int) -> list[int]:
        """Count the values in `bins` of equal ratio; values outside fall into the end bins."""
        found = [0] * bins
        first, last = (_PER_DECADE * math.log10(max(end, _LEAST)) for end in (low, high))
        for bucket, count in self._buckets.items():
            place = int((bucket - first) / max(last - first, 1e-9) * bins)
            found[min(max(place, 0), bins - 1)] += count
        return found


def _rank(share: float, count: int) -> int:
    """The nearest rank of a share among `count` values, counted from 1."""
    return math.ceil(share * count)
