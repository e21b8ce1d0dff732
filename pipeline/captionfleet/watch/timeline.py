"""Records what each deployment did over time, in bounded memory; pure (main process)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from captionfleet.errors import FailureCode
from captionfleet.sender.routing.replicas import Replica

__all__ = ["LOOK_EVERY_S", "Reading", "Timeline"]

LOOK_EVERY_S = 0.25
_MAX_BUCKETS, _FEWEST_BUCKETS = 240, 24
_MAX_CELLS = 15_360  # buckets times deployments
_REFUSALS = (FailureCode.OVERLOADED, FailureCode.SCALING_UP)


@dataclass(frozen=True, slots=True)
class Reading:
    """A deployment at one moment: three counts since the start, and two gauges.

    `refusals` are answers without a free place (429, 503); `errors` are all others.
    """

    captions: int
    refusals: int
    errors: int
    in_flight: int
    window: int

    @classmethod
    def of(cls, replica: Replica) -> Self:
        """A replica's counts from the router; a window that is closed for now counts as 0."""
        refusals = sum(replica.errors[code] for code in _REFUSALS)
        errors = replica.errors.total() - refusals
        window = replica.window.size if replica.is_up else 0
        return cls(replica.captions, refusals, errors, replica.in_flight, window)


@dataclass(slots=True)
class _Bucket:
    """A span of time of one deployment: its counts, and gauges summed over `looks`."""

    captions: int = 0
    refusals: int = 0
    errors: int = 0
    in_flight: int = 0
    window: int = 0
    looks: int = 0

    def merged(self, other: "_Bucket") -> "_Bucket":
        return _Bucket(
            self.captions + other.captions,
            self.refusals + other.refusals,
            self.errors + other.errors,
            self.in_flight + other.in_flight,
            self.window + other.window,
            self.looks + other.looks,
        )

    def gauges(self) -> tuple[float | None, float | None]:
        if not self.looks:
            return None, None
        return round(self.in_flight / self.looks, 2), round(self.window / self.looks, 2)


_NOTHING = Reading(0, 0, 0, 0, 0)


@dataclass(slots=True)
class _Series:
    last: Reading = _NOTHING
    buckets: list[_Bucket] = field(default_factory=list)

    def add(self, number: int, now: Reading) -> None:
        self.buckets.extend(_Bucket() for _ in range(number + 1 - len(self.buckets)))
        bucket, before, self.last = self.buckets[number], self.last, now
        bucket.captions += now.captions - before.captions
        bucket.refusals += now.refusals - before.refusals
        bucket.errors += now.errors - before.errors
        bucket.in_flight += now.in_flight
        bucket.window += now.window
        bucket.looks += 1

    def halve(self) -> None:
        pairs = zip(self.buckets[::2], [*self.buckets[1::2], _Bucket()], strict=False)
        self.buckets = [one.merged(other) for one, other in pairs]


class Timeline:
    """Readings in buckets of equal length, which doubles when there are too many."""

    def __init__(self, deployments: int) -> None:
        self._max_buckets = min(
            _MAX_BUCKETS, max(_FEWEST_BUCKETS, _MAX_CELLS // max(deployments, 1))
        )
        self._bucket_s = LOOK_EVERY_S
        self._series: dict[str, _Series] = {}

    def add(self, at_s: float, readings: Mapping[str, Reading]) -> None:
        """Record a reading of every deployment, `at_s` after the start of the run."""
        while at_s >= self._max_buckets * self._bucket_s:
            self._bucket_s *= 2
            for series in self._series.values():
                series.halve()
        number = int(at_s / self._bucket_s)
        for name, reading in readings.items():
            self._series.setdefault(name, _Series()).add(number, reading)

    def as_dict(self) -> dict[str, Any]:
        """For timeline.json: a list for every quantity, one value a bucket, None if unknown."""
        return {
            "bucket_s": self._bucket_s,
            "deployments": {name: _columns(one.buckets) for name, one in self._series.items()},
        }


def _columns(buckets: list[_Bucket]) -> dict[str, list[Any]]:
    gauges = [bucket.gauges() for bucket in buckets]
    return {
        "captions": [bucket.captions for bucket in buckets],
        "refusals": [bucket.refusals for bucket in buckets],
        "errors": [bucket.errors for bucket in buckets],
        "in_flight": [in_flight for in_flight, _ in gauges],
        "window": [window for _, window in gauges],
    }
