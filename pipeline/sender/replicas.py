"""Which deployment gets the next request, and which gets none for a while (main; pure).

A deployment is up; or down until a time at which one request probes it (ejected after
failures, saturated, scaling up); or out for the rest of the run. The clock is an argument.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pipeline.errors import FailureCode
from pipeline.sender.limits import AdaptiveWindow, FixedWindow
from pipeline.sender.ranking import Ranking
from pipeline.sender.verdict import Verdict

__all__ = ["Change", "Lease", "Replica", "Router"]

_FAILURES_TO_EJECT = 5
_REFUSALS_TO_GIVE_UP = 3


class Change(StrEnum):
    """What became of a deployment, for the log."""

    EJECTED = "ejected"
    SATURATED = "saturated"
    SCALING_UP = "scaling up"
    READMITTED = "readmitted"
    OUT = "out"


# First wait, growth and longest wait, in seconds. Scaling up: the vendor's own sample code. Who is
# saturated by others has a place for a moment only, now and then.
_WAITS = {
    Change.EJECTED: (1.0, 2.0, 60.0),
    Change.SATURATED: (1.0, 2.0, 15.0),
    Change.SCALING_UP: (5.0, 1.5, 60.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class Lease:
    """The right to one request to one deployment; given back exactly once."""

    deployment: str
    started_s: float
    is_probe: bool


@dataclass(slots=True, eq=False)
class Replica:
    """One deployment: its window, how it stands, and what it did so far."""

    name: str
    window: AdaptiveWindow | FixedWindow
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

    @property
    def is_up(self) -> bool:
        """Whether it takes requests as its window allows."""
        return self.down is None

    @property
    def is_out(self) -> bool:
        """Whether it gets no more requests in this run."""
        return self.down is Change.OUT

    @property
    def has_room(self) -> bool:
        """Whether it is up and below its window."""
        return self.is_up and self.in_flight < self.window.size

    @property
    def is_probeable(self) -> bool:
        """Whether it waits for the one request that may bring it back."""
        return not self.is_up and not self.is_out and not self._is_probed

    def begin(self, now_s: float) -> Lease:
        """Count one request more in flight."""
        self.in_flight += 1
        self.requests += 1
        self._is_probed = self._is_probed or not self.is_up
        return Lease(self.name, now_s, is_probe=not self.is_up)

    def end(self, lease: Lease) -> None:
        """Count one request less in flight."""
        self.in_flight -= 1
        if lease.is_probe:
            self._is_probed = False

    def answered(self) -> Change | None:
        """It answered, so it is there: whatever it was down for is over."""
        self._failures = self._refusals = 0
        if self.is_up or self.is_out:
            return None
        self.down, self.reason, self._wait_s = None, None, 0.0
        return Change.READMITTED

    def failed(
        self, lease: Lease, verdict: Verdict, *, now_s: float, jitter: float
    ) -> Change | None:
        """It did not answer; the streak decides what becomes of it.

        Nor does one take requests that does not take the only one.
        """
        if self.is_out:
            return None
        if verdict.fatal:
            self._refusals += 1
            # A single refusal after captions is a hiccup of a gateway, not a wrong key.
            if self.captions == 0 or self._refusals >= _REFUSALS_TO_GIVE_UP:
                return self.put_out(verdict)
            return None
        self._failures += 1
        kind = _kind_of(verdict)
        takes_none = kind is Change.SCALING_UP or (verdict.untaken and not self.in_flight)
        is_over = takes_none or self._failures >= _FAILURES_TO_EJECT
        if is_over if self.is_up else lease.is_probe:
            return self.take_down(kind, verdict, now_s=now_s, jitter=jitter)
        return None

    def take_down(self, kind: Change, verdict: Verdict, *, now_s: float, jitter: float) -> Change:
        """No request until a wait is over, which grows from one failed probe to the next."""
        first_s, growth, longest_s = _WAITS[kind]
        self._wait_s = min(self._wait_s * growth, longest_s) if self.down is kind else first_s
        self.due_s = now_s + max(self._wait_s * (0.8 + 0.4 * jitter), verdict.retry_after_s)
        self.ejections += kind is Change.EJECTED and self.down is not kind
        self.down, self.reason = kind, verdict
        return kind

    def put_out(self, verdict: Verdict) -> Change:
        """No more requests in this run."""
        self.down, self.reason = Change.OUT, verdict
        return Change.OUT


def _kind_of(verdict: Verdict) -> Change:
    if verdict.code is FailureCode.SCALING_UP:
        return Change.SCALING_UP
    return Change.EJECTED if verdict.blames else Change.SATURATED


class Router:
    """Chooses among deployments; every method takes the time and none waits."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.replicas = {replica.name: replica for replica in replicas}
        self.down_since_s: float | None = None
        self._up: set[str] = set()
        self._room = Ranking()  # by load for the window
        self._due = Ranking()  # by the time of the next probe
        for replica in replicas:
            self._rank(replica)

    def lease(self, now_s: float, *, avoid: str | None = None) -> Lease | None:
        """The right to one request now, or None while no deployment may take one.

        A probe that is due goes first, for a deployment without requests would never come
        back; then the least loaded for its window. `avoid`, where the clip failed last, is
        taken only while no other deployment is up, and such a clip probes only where no
        deployment has room: one deployment after the other would burn its attempts.
        """
        has_failed = avoid is not None
        if self._up <= {avoid}:
            avoid = None
        due = self._due.first(but=avoid, most=now_s)
        room = self._room.first(but=avoid)
        return self._begin(room or due if has_failed else due or room, now_s)

    def lease_besides(self, deployment: str, now_s: float) -> Lease | None:
        """The right to one request now to any other deployment that is up, or None."""
        return self._begin(self._room.first(but=deployment), now_s)

    def _begin(self, name: str | None, now_s: float) -> Lease | None:
        if name is None:
            return None
        lease = self.replicas[name].begin(now_s)
        self._rank(self.replicas[name])
        return lease

    def has_place(self, now_s: float) -> bool:
        """Whether any deployment may take a request now."""
        return bool(self._room.first() or self._due.first(most=now_s))

    def succeed(self, lease: Lease, *, now_s: float, queue_s: float | None = None) -> Change | None:
        """Give a lease back with a caption; `queue_s` is the server's queue time, if told."""
        replica = self.replicas[lease.deployment]
        replica.window.succeeded(
            now_s, started_s=lease.started_s, in_flight=replica.in_flight, queue_s=queue_s
        )
        replica.end(lease)
        replica.captions += 1
        return self._watched(replica, replica.answered(), now_s)

    def fail(self, lease: Lease, verdict: Verdict, *, now_s: float, jitter: float) -> Change | None:
        """Give a lease back with a failure; `jitter` is uniform in [0, 1)."""
        replica = self.replicas[lease.deployment]
        replica.errors[verdict.code] += 1
        if verdict.stale or verdict.code is FailureCode.SOURCE_CHANGED:  # nothing was sent in full
            self.abandon(lease)
            return None
        if verdict.shrinks and not lease.is_probe:
            window = replica.window
            lost = window.refused if verdict.code is FailureCode.OVERLOADED else window.timed_out
            lost(now_s, started_s=lease.started_s, in_flight=replica.in_flight)
        replica.end(lease)
        counts = verdict.blames or verdict.shrinks or verdict.fatal or not verdict.burns_attempt
        if not counts:
            return self._watched(replica, replica.answered(), now_s)
        change = replica.failed(lease, verdict, now_s=now_s, jitter=jitter)
        return self._watched(replica, change, now_s)

    def abandon(self, lease: Lease) -> None:
        """Give a lease back without having learnt anything (cancelled)."""
        replica = self.replicas[lease.deployment]
        replica.end(lease)
        self._rank(replica)

    def take_down(self, name: str, verdict: Verdict, *, now_s: float) -> None:
        """Begin with this deployment ejected: it could not be reached at the start."""
        replica = self.replicas[name]
        change = replica.take_down(Change.EJECTED, verdict, now_s=now_s, jitter=0.5)
        self._watched(replica, change, now_s)

    def follow(self, name: str, ceiling: int, *, now_s: float) -> bool:
        """Let a deployment's window follow its replicas; return whether it was another before."""
        replica = self.replicas[name]
        if not replica.window.follow(ceiling, now_s, in_flight=replica.in_flight):
            return False
        self._rank(replica)
        return True

    def next_due_s(self) -> float | None:
        """When the next probe may go out; None while none waits for its time."""
        name = self._due.first()
        return None if name is None else self.replicas[name].due_s

    def is_hopeless(self, now_s: float, *, patience_s: float) -> bool:
        """Whether to give up: none in flight, and all out or none up for `patience_s`."""
        if self.down_since_s is None or self.in_flight:
            return False  # what is in flight may still bring captions, and ends in time
        return self.all_out or now_s - self.down_since_s >= patience_s

    @property
    def in_flight(self) -> int:
        """Leases that were not given back yet."""
        return sum(replica.in_flight for replica in self.replicas.values())

    @property
    def all_out(self) -> bool:
        """Whether no deployment can be used in this run any more."""
        return all(replica.is_out for replica in self.replicas.values())

    def why_waiting(self, now_s: float) -> str:
        """Why nothing goes out, for the progress line; empty while a deployment is up."""
        if self._up:
            return ""
        return "; ".join(_standing(r, now_s) for r in self.replicas.values() if not r.is_out)

    def _watched(self, replica: Replica, change: Change | None, now_s: float) -> Change | None:
        self._rank(replica)
        if self._up:
            self.down_since_s = None
        elif self.down_since_s is None:
            self.down_since_s = now_s
        return change

    def _rank(self, replica: Replica) -> None:
        """Put a deployment where it belongs after any change to it."""
        name, load = replica.name, replica.in_flight / replica.window.size
        self._room.place(name, (load, replica.requests) if replica.has_room else None)
        self._due.place(name, (replica.due_s, 0) if replica.is_probeable else None)
        (self._up.add if replica.is_up else self._up.discard)(name)


def _standing(replica: Replica, now_s: float) -> str:
    detail = replica.reason.detail if replica.reason else ""
    left_s = max(replica.due_s - now_s, 0.0)
    when = f"next try in {left_s:.0f} s" if replica.is_probeable else "trying"
    return f"{replica.name} {replica.down} ({detail}; {when})"
