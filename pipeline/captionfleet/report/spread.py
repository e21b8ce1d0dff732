"""How values are spread, in bounded memory; pure (main process)."""

import math
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Spread"]

_PER_DECADE = 230  # neighbouring buckets differ by 1 %
_LEAST = 1e-6


@dataclass(slots=True)
class Spread:
    """Counts of positive values in buckets of equal ratio: percentiles are right to 0.5 %."""

    count: int = 0
    sum: float = 0.0
    min: float = math.inf
    max: float = -math.inf
    _buckets: Counter[int] = field(default_factory=Counter)

    def add(self, value: float) -> None:
        """Take one value; what is below a millionth counts as that."""
        self.count += 1
        self.sum += value
        self.min, self.max = min(self.min, value), max(self.max, value)
        self._buckets[round(_PER_DECADE * math.log10(max(value, _LEAST)))] += 1

    @property
    def mean(self) -> float:
        """0.0 of nothing."""
        return self.sum / self.count if self.count else 0.0

    def percentile(self, share: float) -> float:
        """The value at this share, by nearest rank; 0.0 of nothing."""
        left = math.ceil(share * self.count)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return min(max(10 ** (bucket / _PER_DECADE), self.min), self.max)
        return 0.0

    def counts(self, low: float, high: float, bins: int) -> list[int]:
        """A histogram over `bins` of equal ratio; what lies outside falls into the end bins."""
        found = [0] * bins
        first, last = (_PER_DECADE * math.log10(max(end, _LEAST)) for end in (low, high))
        for bucket, count in self._buckets.items():
            place = int((bucket - first) / max(last - first, 1e-9) * bins)
            found[min(max(place, 0), bins - 1)] += count
        return found
