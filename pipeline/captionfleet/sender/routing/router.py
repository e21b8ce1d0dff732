"""Chooses the deployment that gets the next request; pure (main process)."""

from collections.abc import Sequence

from captionfleet.errors import FailureCode
from captionfleet.sender.routing.ranking import Ranking
from captionfleet.sender.routing.replicas import Change, Lease, Replica
from captionfleet.sender.routing.verdict import Verdict

__all__ = ["Router"]

# Failures of requests that were not sent in full, so that the deployment never saw them.
_UNSENT = frozenset({FailureCode.SOURCE_CHANGED, FailureCode.SOURCE_UNREADABLE})


class Router:
    """Chooses among deployments; every method takes the time as an argument, and none waits."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.replicas = {replica.name: replica for replica in replicas}
        self.down_since_s: float | None = None
        self._up: set[str] = set()
        self._held: set[str] = set()
        self._room = Ranking()  # by load relative to the window
        self._due = Ranking()  # by the time of the next probe
        for replica in replicas:
            self._rank(replica)

    def lease(self, now_s: float, *, avoid: str | None = None) -> Lease | None:
        """The right to one request now; None while no deployment may take one.

        A due probe comes first, because a deployment without requests would never come back; then
        the deployment with the least load for its window. `avoid`, where the clip failed last, is
        chosen only while no other deployment is up. A clip that has failed serves as a probe only
        if no deployment has room: otherwise each deployment that is down would use up one of its
        attempts.
        """
        has_failed = avoid is not None
        if has_failed and self._up <= {avoid}:
            avoid = None
        due = self._due.first(but=avoid, most=now_s)
        room = self._room.first(but=avoid)
        return self._begin(room or due if has_failed else due or room, now_s)

    def lease_besides(self, deployment: str, now_s: float) -> Lease | None:
        """The right to one request now at any other deployment that is up; else None."""
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
        """Return a lease with a caption; `queue_s` is the server's queue time, if reported."""
        replica = self.replicas[lease.deployment]
        replica.window.succeeded(
            now_s,
            started_s=lease.started_s,
            in_flight=replica.in_flight,
            queue_s=queue_s,
            level=lease.level,
        )
        replica.end(lease)
        replica.captions += 1
        return self._watched(replica, replica.answered(), now_s)

    def fail(self, lease: Lease, verdict: Verdict, *, now_s: float, jitter: float) -> Change | None:
        """Return a lease with a failure; `jitter` is uniform in [0, 1)."""
        replica = self.replicas[lease.deployment]
        replica.errors[verdict.code] += 1
        if verdict.stale or verdict.code in _UNSENT:
            self.abandon(lease)
            return None
        if not lease.is_probe:
            _tell_window(replica, lease, verdict, now_s)
        replica.end(lease)
        if verdict.fatal or verdict.rejects:
            change = replica.refused(lease, verdict, now_s=now_s, jitter=jitter)
        elif verdict.blames or verdict.shrinks or not verdict.burns_attempt:
            change = replica.failed(lease, verdict, now_s=now_s, jitter=jitter)
        else:
            change = replica.answered()
        return self._watched(replica, change, now_s)

    def abandon(self, lease: Lease) -> None:
        """Return the lease of a cancelled request, without a verdict."""
        replica = self.replicas[lease.deployment]
        replica.end(lease)
        self._rank(replica)

    def has_another(self, name: str) -> bool:
        """Whether any other deployment is up."""
        return bool(self._up - {name})

    def may_have_another(self, name: str) -> bool:
        """Whether any other deployment may still take requests in this run."""
        return any(not replica.is_out for other, replica in self.replicas.items() if other != name)

    def hold(self, name: str) -> None:
        """Start without this deployment, which is still coming up."""
        self.replicas[name].down = Change.HELD
        self._rank(self.replicas[name])

    def release(self, name: str, *, now_s: float) -> None:
        """Use a deployment that was held: it serves now."""
        if self.replicas[name].is_held:
            self.replicas[name].down = None
            self._watched(self.replicas[name], None, now_s)

    def give_up(self, name: str, verdict: Verdict, *, now_s: float) -> None:
        """Drop a deployment that was held: it will not serve in this run."""
        if self.replicas[name].is_held:
            self._watched(self.replicas[name], self.replicas[name].put_out(verdict), now_s)

    def take_down(self, name: str, verdict: Verdict, *, now_s: float) -> None:
        """Start with this deployment ejected, as it could not be reached."""
        replica = self.replicas[name]
        if replica.is_held:
            return
        change = replica.take_down(Change.EJECTED, verdict, now_s=now_s, jitter=0.5)
        self._watched(replica, change, now_s)

    def follow(self, name: str, ceiling: int, *, now_s: float) -> bool:
        """Let a deployment's window follow its replica count; return whether it changed."""
        replica = self.replicas[name]
        if not replica.window.follow(ceiling, now_s, in_flight=replica.in_flight):
            return False
        self._rank(replica)
        return True

    def next_due_s(self) -> float | None:
        """When the next probe is due; None while no deployment waits for one."""
        name = self._due.first()
        return None if name is None else self.replicas[name].due_s

    def is_hopeless(self, now_s: float, *, patience_s: float) -> bool:
        """Whether to give up: none in flight, and all out or none up for `patience_s`."""
        if self.down_since_s is None or self.in_flight:
            return False  # requests in flight may still bring captions, and have a deadline
        return self.all_out or now_s - self.down_since_s >= patience_s

    @property
    def in_flight(self) -> int:
        """Leases that were not returned yet."""
        return sum(replica.in_flight for replica in self.replicas.values())

    @property
    def all_out(self) -> bool:
        """Whether no deployment can be used any more in this run."""
        return all(replica.is_out for replica in self.replicas.values())

    def why_waiting(self, now_s: float) -> str:
        """Why no request goes out, for the progress line; empty while a deployment is up."""
        if self._up:
            return ""
        usable = (r for r in self.replicas.values() if not (r.is_out or r.is_held))
        return "; ".join(_standing(replica, now_s) for replica in usable)

    def waits_for(self) -> str:
        """The same in a few words; without deployments that are still coming up."""
        if self._up:
            return ""
        down = [r for r in self.replicas.values() if not (r.is_out or r.is_held)]
        if not down:
            return ""
        others = f" and {len(down) - 1} more" if len(down) > 1 else ""
        return f"{down[0].name}{others}: {_in_short(down[0])}"

    @property
    def is_held(self) -> bool:
        """Whether any deployment is still coming up."""
        return bool(self._held)

    def _watched(self, replica: Replica, change: Change | None, now_s: float) -> Change | None:
        self._rank(replica)
        if self._up or self._held:
            self.down_since_s = None
        elif self.down_since_s is None:
            self.down_since_s = now_s
        return change

    def _rank(self, replica: Replica) -> None:
        """Update a deployment's place in the order after a change."""
        name = replica.name
        self._room.place(name, replica.room_rank)
        if replica.is_up and name in self._up:
            return  # as after most requests: only its load has changed
        self._due.place(name, (replica.due_s, 0) if replica.is_probeable else None)
        (self._up.add if replica.is_up else self._up.discard)(name)
        (self._held.add if replica.is_held else self._held.discard)(name)


def _tell_window(replica: Replica, lease: Lease, verdict: Verdict, now_s: float) -> None:
    """Pass a failure on to the window if it concerns load."""
    window = replica.window
    if verdict.shrinks:
        lost = window.refused if verdict.code is FailureCode.OVERLOADED else window.timed_out
        started_s, in_flight = lease.started_s, replica.in_flight
        lost(now_s, started_s=started_s, in_flight=in_flight, level=lease.level)
    elif verdict.blames:
        window.faulted()


def _in_short(replica: Replica) -> str:
    if replica.down is Change.EJECTED and replica.reason:
        return replica.reason.detail
    return str(replica.down)


def _standing(replica: Replica, now_s: float) -> str:
    detail = replica.reason.detail if replica.reason else ""
    left_s = max(replica.due_s - now_s, 0.0)
    when = f"next try in {left_s:.0f} s" if replica.is_probeable else "trying"
    return f"{replica.name} {replica.down} ({detail}; {when})"
