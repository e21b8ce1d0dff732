"""Models one deployment: replicas, cold start, autoscaler; pure, given the clock."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from captionfleet.standin.plane.options import ColdStart, PlaneOptions

__all__ = ["Deployment", "Life", "Phase", "seconds_of"]

Phase = Literal["pendingScheduling", "downloadingModel", "initializing", "ready"]

_LOAD_TARGET = 0.8
_UPDATE_S = 2.0
_IN_USE_S = 3600.0
_WINDOWS_S = {"scaleUpWindow": 30.0, "scaleDownWindow": 600.0, "scaleToZeroWindow": 3600.0}


def seconds_of(duration: str) -> float:
    """Read a duration in proto JSON, such as "300s".

    Raises:
        ValueError: it is not a duration.
    """
    if not duration.endswith("s"):
        raise ValueError(f"{duration!r} is not a duration")
    return float(duration[:-1])


@dataclass(frozen=True, slots=True)
class Life:
    """One replica since its creation."""

    ordinal: int
    since_s: float

    def phase(self, now_s: float, cold: ColdStart) -> Phase:
        """How far it has started."""
        age_s = now_s - self.since_s
        if age_s < cold.pending_s:
            return "pendingScheduling"
        if age_s < cold.pending_s + cold.downloading_s:
            return "downloadingModel"
        if age_s < cold.pending_s + cold.downloading_s + cold.initializing_s:
            return "initializing"
        return "ready"


class Deployment:
    """The settings of a deployment, its replicas, and its autoscaler.

    The owner reports every request (`begin`, `end`), and calls `advance` before it reads anything;
    between calls nothing changes.
    """

    def __init__(
        self, name: str, spec: Mapping[str, Any], options: PlaneOptions, now_s: float
    ) -> None:
        self.name = name
        self.spec = dict(spec)
        self.deleted = False
        self.requests = 0
        self.in_flight = 0
        self.lives: list[Life] = []
        self.gone: list[Life] = []  # preempted since the last look
        self._options = options
        self._cold = options.scaled_cold_start
        self._ordinals = count(1)
        self._made_s = now_s
        self._taken = 0  # requests that found a replica
        self._was_ready = False
        self._updated_s = -1e9
        self._served_s = -1e9
        self._asked_s = now_s
        self._busy_since_s: float | None = None
        self._idle_since_s: float | None = None
        self._resize(self._least, now_s)

    @property
    def desired(self) -> int:
        """The number of replicas that exist or are starting."""
        return len(self.lives)

    @property
    def gpus(self) -> int:
        """The most GPUs that it can have."""
        return int(self.spec["maxReplicaCount"]) * int(self.spec["acceleratorCount"])

    def ready(self, now_s: float) -> list[Life]:
        """The replicas that serve."""
        return [life for life in self.lives if life.phase(now_s, self._cold) == "ready"]

    def is_known(self, now_s: float) -> bool:
        """Whether the control plane already shows it."""
        return now_s - self._made_s >= self._options.shows_after_s * self._options.time_scale

    def is_in_use(self, now_s: float) -> bool:
        """Whether it served within the last hour, so that only a forced call deletes it."""
        return now_s - self._served_s < _IN_USE_S * self._options.time_scale

    def begin(self, now_s: float) -> None:
        """Count a request as in flight; without a replica it wakes the deployment."""
        self.requests += 1
        self.in_flight += 1
        self._asked_s = now_s
        if up := self.ready(now_s):
            self._taken += 1
            if self._taken == self._options.preempt_after:
                self.lives.remove(up[0])
                self.gone.append(up[0])
                self.lives.append(Life(next(self._ordinals), now_s))
        if not self.lives:
            self._resize(max(self._least, 1), now_s)
        self.advance(now_s)

    def end(self, now_s: float, *, served: bool) -> None:
        """Count a request as ended."""
        self.in_flight -= 1
        self._asked_s = now_s
        if served:
            self._served_s = now_s
        self.advance(now_s)

    def advance(self, now_s: float) -> None:
        """Run the autoscaler."""
        self._was_ready = self._was_ready or bool(self.ready(now_s))
        steps = [n for since, n in self._options.autoscale if since <= self.requests]
        if not self._options.autoscale:
            self._follow_load(now_s)
        elif steps and self.requests:
            self._resize(steps[-1], now_s)
        if self._may_sleep(now_s):
            self._resize(0, now_s)

    def update(self, fields: Mapping[str, Any], now_s: float) -> None:
        """Apply new settings."""
        self.spec.update(fields)
        self._updated_s = now_s
        self._asked_s = now_s
        self._resize(min(max(self.desired, self._least), self._most), now_s)

    def scale(self, replicas: int, now_s: float) -> None:
        """Set the number of replicas, within the settings."""
        self._updated_s = self._asked_s = now_s
        self._resize(replicas, now_s)

    def state(self, now_s: float) -> str:
        """The control plane's name of the state."""
        if self.deleted:
            return "DELETED"
        if self._options.creation_fails:
            return "FAILED"
        if self.lives and not self._was_ready and not self.ready(now_s):
            return "CREATING"
        is_updating = now_s - self._updated_s < _UPDATE_S * self._options.time_scale
        return "UPDATING" if is_updating else "READY"

    def as_json(self, now_s: float) -> dict[str, Any]:
        """The deployment as the API shows it; as in proto JSON, without zero and empty fields."""
        self.advance(now_s)
        phases = Counter(life.phase(now_s, self._cold) for life in self.lives)
        fields = {
            "name": self.name,
            **self.spec,
            "state": self.state(now_s),
            "status": self._status(),
            "desiredReplicaCount": self.desired,
            "replicaCount": self.desired,
            "replicaStats": {f"{phase}ReplicaCount": number for phase, number in phases.items()},
        }
        return {key: value for key, value in fields.items() if value not in (0, "", None, False)}

    def _status(self) -> dict[str, str]:
        if self._options.creation_fails:
            return {"code": "RESOURCE_EXHAUSTED", "message": "no machine is free in the region"}
        return {"code": "OK"}

    @property
    def _least(self) -> int:
        return int(self.spec["minReplicaCount"])

    @property
    def _most(self) -> int:
        return int(self.spec["maxReplicaCount"])

    def _follow_load(self, now_s: float) -> None:
        place = _LOAD_TARGET * self._options.replica.slots
        is_busy = self.in_flight > place * self.desired
        is_idle = self.in_flight <= place * (self.desired - 1)
        self._busy_since_s = (self._busy_since_s or now_s) if is_busy else None
        self._idle_since_s = (self._idle_since_s or now_s) if is_idle else None
        if self._is_over(self._busy_since_s, "scaleUpWindow", now_s):
            self._busy_since_s = None
            self._resize(self.desired + 1, now_s)
        elif self.desired > 1 and self._is_over(self._idle_since_s, "scaleDownWindow", now_s):
            self._idle_since_s = None
            self._resize(self.desired - 1, now_s)

    def _may_sleep(self, now_s: float) -> bool:
        is_quiet = not self.in_flight and self._is_over(self._asked_s, "scaleToZeroWindow", now_s)
        return self._least == 0 and is_quiet

    def _is_over(self, since_s: float | None, window: str, now_s: float) -> bool:
        policy = self.spec.get("autoscalingPolicy") or {}
        window_s = seconds_of(policy[window]) if window in policy else _WINDOWS_S[window]
        return since_s is not None and now_s - since_s >= window_s * self._options.time_scale

    def _resize(self, replicas: int, now_s: float) -> None:
        replicas = min(max(replicas, self._least), self._most)
        while len(self.lives) < replicas:
            self.lives.append(Life(next(self._ordinals), now_s))
        # The youngest are removed first: they are the furthest from serving.
        del self.lives[replicas:]
