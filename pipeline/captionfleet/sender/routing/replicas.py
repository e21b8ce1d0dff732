"""Tracks the state of a deployment through its answers and failures; pure (main process).

A deployment is up; or down until one request probes it (ejected after failures, refusing,
saturated, scaling up); or held until it is reported to serve; or out for the rest of the run. The
clock is an argument.

Refusals (401, 404, a redirect, any other 4xx) may concern the deployment or the clip, and may be a
hiccup of a gateway. They put a deployment out only when they are spread over time.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from captionfleet.errors import FailureCode
from captionfleet.sender.routing.limits import AdaptiveWindow, FixedWindow
from captionfleet.sender.routing.verdict import Verdict

__all__ = ["Change", "Lease", "ProbeWait", "Replica", "ReplicaTuning"]

_FAILURES_TO_EJECT, _MOST_FAILURES = 5, 16  # in a row; each uses up an attempt of a clip
_SCALING_UPS = 3  # in a row, from a deployment that has captioned: gateways fail at times

# Refusals in a row. A refusal of key, account or model by a new deployment is conclusive, while a
# working one returns a single 401 now and then. Other 4xx usually concern the clip, and
# neighbouring clips may share a fault.
_REFUSALS_TO_DOUBT_NEW, _REFUSALS_TO_DOUBT = 1, 3
_REJECTIONS_TO_DOUBT_NEW, _REJECTIONS_TO_DOUBT = 3, 10
_REFUSALS_TO_GIVE_UP = 3
_REJECTIONS_TO_GIVE_UP = 10


class Change(StrEnum):
    """A change in a deployment's state, for the log."""

    EJECTED = "ejected"
    REFUSING = "refusing"
    SATURATED = "saturated"
    SCALING_UP = "scaling up"
    HELD = "held"
    READMITTED = "readmitted"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class ProbeWait:
    """How long a deployment that is down waits for its next probe; longer after each failure."""

    first_s: float
    growth: float
    longest_s: float


# A deployment saturated by other clients has a free place only for moments.
_PROBE_WAITS = {
    Change.EJECTED: ProbeWait(1.0, 2.0, 60.0),
    Change.REFUSING: ProbeWait(1.0, 2.0, 10.0),  # several probes in a minute
    Change.SATURATED: ProbeWait(1.0, 2.0, 15.0),
    Change.SCALING_UP: ProbeWait(2.0, 1.05, 30.0),  # late by at most 5 % of the wait
}


@dataclass(frozen=True, slots=True)
class ReplicaTuning:
    """The waits of a deployment's state machine.

    Attributes:
        new_s: Seconds between the first refusal and the one that puts a deployment out. Hiccups of
            gateways last 50 to 300 ms, reloads of their settings a second: a wrong key still ends a
            run in about 3 s.
        known_s: The same for a deployment that has worked: an authentication service takes a minute
            to restart.
        probe_waits: The wait for the next probe, by what the deployment is down for.
    """

    new_s: float = 2.0
    known_s: float = 60.0
    probe_waits: Mapping[Change, ProbeWait] = field(default_factory=lambda: _PROBE_WAITS)


@dataclass(frozen=True, slots=True, eq=False)
class Lease:
    """The right to one request to one deployment; returned exactly once.

    Attributes:
        level: The number of requests then in flight there, this one included.
    """

    deployment: str
    started_s: float
    is_probe: bool
    level: int = 1


@dataclass(slots=True, eq=False)
class Replica:
    """One deployment: its window, its state, and its counts."""

    name: str
    window: AdaptiveWindow | FixedWindow
    tuning: ReplicaTuning = field(default_factory=ReplicaTuning)
    in_flight: int = 0
    requests: int = 0
    captions: int = 0
    ejections: int = 0
    errors: Counter[FailureCode] = field(default_factory=Counter)
    down: Change | None = None
    due_s: float = 0.0
    reason: Verdict | None = None
    _wait_s: float = 0.0
    _is_probed: bool = False
    _failures: int = 0
    _refusals: int = 0
    _refused_since_s: float = 0.0
    _has_scaled_up: bool = False  # only a deployment that accepts key and model answers so

    @property
    def is_up(self) -> bool:
        """Whether it takes requests, within its window."""
        return self.down is None

    @property
    def is_out(self) -> bool:
        """Whether it gets no more requests in this run."""
        return self.down is Change.OUT

    @property
    def is_held(self) -> bool:
        """Whether it gets no request until it is released."""
        return self.down is Change.HELD

    @property
    def is_proven(self) -> bool:
        """Whether it has captioned a clip: it then rejects a clip for a fault of the clip."""
        return self.captions > 0

    @property
    def is_refusing(self) -> bool:
        """Whether refusals took it down or put it out."""
        return self.down in (Change.REFUSING, Change.OUT)

    @property
    def has_room(self) -> bool:
        """Whether it is up and below its window."""
        return self.room_rank is not None

    @property
    def room_rank(self) -> tuple[float, int] | None:
        """The used part of its window, then its requests so far; None without room.

        The deployment with the least rank gets the next request.
        """
        size = self.window.size
        if self.down is not None or self.in_flight >= size:
            return None
        return self.in_flight / size, self.requests

    @property
    def is_probeable(self) -> bool:
        """Whether it waits for the probe that may bring it back."""
        return not (self.is_up or self.is_out or self.is_held or self._is_probed)

    def begin(self, now_s: float) -> Lease:
        """Count one more request in flight."""
        self.in_flight += 1
        self.requests += 1
        is_probe = self.down is not None
        self._is_probed = self._is_probed or is_probe
        return Lease(self.name, now_s, is_probe, self.in_flight)

    def end(self, lease: Lease) -> None:
        """Count one less request in flight."""
        self.in_flight -= 1
        if lease.is_probe:
            self._is_probed = False

    def answered(self) -> Change | None:
        """Record an answer: it ends any reason to be down."""
        self._failures = self._refusals = 0
        return self._come_back()

    def _come_back(self) -> Change | None:
        if self.is_up or self.is_out:
            return None
        self.down, self.reason, self._wait_s = None, None, 0.0
        return Change.READMITTED

    def failed(
        self, lease: Lease, verdict: Verdict, *, now_s: float, jitter: float
    ) -> Change | None:
        """Record a failure; the number in a row decides the new state.

        A deployment that refuses its only in-flight request is marked down at once.
        """
        if self.is_out:
            return None
        self._failures += 1
        kind = _kind_of(verdict)
        self._has_scaled_up = self._has_scaled_up or kind is Change.SCALING_UP
        if self._takes_none(kind, verdict) if self.is_up else lease.is_probe:
            return self.take_down(kind, verdict, now_s=now_s, jitter=jitter)
        return None

    def _takes_none(self, kind: Change, verdict: Verdict) -> bool:
        """Whether the failures so far show that the deployment answers no request.

        The more requests are in flight, the more of them may fail in a row by chance.
        """
        if kind is Change.SCALING_UP and (not self.is_proven or self._failures >= _SCALING_UPS):
            return True
        if (kind is Change.SCALING_UP or verdict.untaken) and not self.in_flight:
            return True
        most = min(self.window.size // 2, _MOST_FAILURES)
        return self._failures >= max(_FAILURES_TO_EJECT, most)

    def refused(
        self, lease: Lease, verdict: Verdict, *, now_s: float, jitter: float
    ) -> Change | None:
        """Record a refusal: several in a row take it down, and several over time put it out.

        A rejected clip at a deployment that is down for another reason shows that it is reachable.
        """
        if self.is_out:
            return None
        self._failures = 0
        self._refused_since_s = self._refused_since_s if self._refusals else now_s
        self._refusals += 1
        if self._is_past_hope(verdict, now_s):
            return self.put_out(verdict)
        is_there = verdict.rejects and self.down is not Change.REFUSING
        if is_there or self.is_up:
            if self._refusals >= self._refusals_to_doubt(verdict):
                return self.take_down(Change.REFUSING, verdict, now_s=now_s, jitter=jitter)
            return self._come_back()
        if not lease.is_probe:
            return None
        kind = Change.SCALING_UP if self.down is Change.SCALING_UP else Change.REFUSING
        return self.take_down(kind, verdict, now_s=now_s, jitter=jitter)

    def _refusals_to_doubt(self, verdict: Verdict) -> int:
        if verdict.rejects:
            return _REJECTIONS_TO_DOUBT if self.is_proven else _REJECTIONS_TO_DOUBT_NEW
        is_known = self.is_proven or self._has_scaled_up
        return _REFUSALS_TO_DOUBT if is_known else _REFUSALS_TO_DOUBT_NEW

    def _is_past_hope(self, verdict: Verdict, now_s: float) -> bool:
        """Whether it has refused long and often enough to be out.

        A deployment that has captioned and now rejects every clip is never out, only down: the
        clips may be to blame, and the run's patience ends the wait.
        """
        if verdict.rejects and self.is_proven:
            return False
        is_known = self.is_proven or self._has_scaled_up
        least = _REJECTIONS_TO_GIVE_UP if verdict.rejects else _REFUSALS_TO_GIVE_UP
        span_s = self.tuning.known_s if is_known else self.tuning.new_s
        return self._refusals >= least and now_s - self._refused_since_s >= span_s

    def take_down(self, kind: Change, verdict: Verdict, *, now_s: float, jitter: float) -> Change:
        """Send no request until a wait is over, which grows with each failed probe."""
        wait, is_again = self.tuning.probe_waits[kind], self.down is kind
        self._wait_s = min(self._wait_s * wait.growth, wait.longest_s) if is_again else wait.first_s
        self.due_s = now_s + max(self._wait_s * (0.8 + 0.4 * jitter), verdict.retry_after_s)
        self.ejections += kind is Change.EJECTED and self.down is not kind
        self.down, self.reason = kind, verdict
        return kind

    def put_out(self, verdict: Verdict) -> Change:
        """Send no more requests in this run."""
        self.down, self.reason = Change.OUT, verdict
        return Change.OUT


def _kind_of(verdict: Verdict) -> Change:
    if verdict.code is FailureCode.SCALING_UP:
        return Change.SCALING_UP
    return Change.EJECTED if verdict.blames else Change.SATURATED
