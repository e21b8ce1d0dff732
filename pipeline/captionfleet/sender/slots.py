"""Queues the tasks that wait for a place at a deployment (main process)."""

import math
import random
from collections import deque
from dataclasses import dataclass, field

import anyio

from captionfleet.errors import DeploymentError
from captionfleet.sender.changes import Changes
from captionfleet.sender.chat.answers import Answer
from captionfleet.sender.fleet import Fleet
from captionfleet.sender.routing.policy import hand_out
from captionfleet.sender.routing.replicas import Change, Lease
from captionfleet.sender.routing.router import Router
from captionfleet.sender.routing.verdict import Verdict
from captionfleet.telemetry import Tally, monotonic_s

__all__ = ["HaltedError", "Slots", "jitter"]

_QUEUE_METRIC = "prefill-queue-duration"


class HaltedError(Exception):
    """Raised to tasks that want to begin a request after the fleet was halted."""


@dataclass(slots=True, eq=False)
class _Waiter:
    avoid: str | None
    is_urgent: bool = False
    granted: anyio.Event = field(default_factory=anyio.Event)
    lease: Lease | None = None


class Slots:
    """The router with a queue: tasks without a place wait, first come, first served.

    Only a clip that waits for a deployment other than its last one lets others pass.
    """

    def __init__(self, fleet: Fleet, tally: Tally, *, patience_s: float) -> None:
        self._fleet = fleet
        self._router: Router = fleet.router
        self._tally = tally
        self._patience_s = patience_s
        self._waiters: deque[_Waiter] = deque()
        self._hedges: list[_Waiter] = []
        self._stirred = anyio.Event()
        self._changes = Changes(fleet.router)
        self.end: DeploymentError | None = None

    async def lease(self, avoid: str | None = None) -> Lease:
        """Wait for the right to one request; return it with `settle` or `abandon`.

        Raises:
            HaltedError: the fleet is halted, so no request begins.
        """
        if self._fleet.halted.is_set():
            raise HaltedError
        waiter = _Waiter(avoid)
        self._waiters.append(waiter)
        self._hand_out()
        try:
            await waiter.granted.wait()
        except BaseException:
            if waiter.lease is not None:
                self.abandon(waiter.lease)
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise
        if waiter.lease is None:
            raise HaltedError
        return waiter.lease

    async def back_off(self, seconds: float) -> None:
        """Wait before a retry, without a place; a halt of the fleet ends the wait."""
        with anyio.move_on_after(seconds):
            await self._fleet.halted.wait()

    async def lease_besides(self, deployment: str, *, is_urgent: bool) -> Lease:
        """Wait for the right to a second request at another deployment, before or after all clips.

        The wait has no deadline: it is cancelled when the first request ends.
        """
        waiter = _Waiter(deployment, is_urgent)
        self._hedges.append(waiter)
        self._hand_out()
        try:
            await waiter.granted.wait()
        except BaseException:
            if waiter.lease is not None:
                self.abandon(waiter.lease)
            raise
        finally:
            if waiter in self._hedges:
                self._hedges.remove(waiter)
        assert waiter.lease is not None  # noqa: S101 - granted with it
        return waiter.lease

    async def watch_halt(self) -> None:
        """Raise HaltedError in all waiting tasks when the fleet is halted."""
        await self._fleet.halted.wait()
        while self._waiters:
            self._waiters.popleft().granted.set()

    async def watch_growth(self) -> None:
        """Hand out places that new replicas bring, without waiting for a request to end."""
        while True:
            await self._fleet.grown.wait()
            self._stir()

    async def say_changes(self) -> None:
        """Log deployments that go down or come back, at most once a minute, until cancelled."""
        await self._changes.say()

    def settle(self, lease: Lease, outcome: Answer | Verdict) -> None:
        """Return a lease with the request's outcome."""
        now_s = monotonic_s()
        if isinstance(outcome, Answer):
            queue_s = outcome.server.get(_QUEUE_METRIC)
            known = queue_s if isinstance(queue_s, float) else None
            change = self._router.succeed(lease, now_s=now_s, queue_s=known)
        else:
            change = self._router.fail(lease, outcome, now_s=now_s, jitter=jitter())
        if change is not None:
            self._tell(lease.deployment, change)
        self._stir()

    def abandon(self, lease: Lease) -> None:
        """Return the lease of a cancelled request."""
        self._router.abandon(lease)
        self._stir()

    async def watch(self, scope: anyio.CancelScope) -> None:
        """Hand out leases that become free with time; when none can any more, end the scope."""
        while self.end is None:
            self._hand_out()
            words = self._router.waits_for()
            if words or not self._router.is_held:  # the lifecycle shows its own waits
                self._tally.waiting_for = words
            self._stirred = anyio.Event()
            with anyio.move_on_after(self._next_s()):
                await self._stirred.wait()
            self.end = self._hopeless()
        scope.cancel()

    def _stir(self) -> None:
        self._hand_out()
        self._stirred.set()

    def _hand_out(self) -> None:
        now_s = monotonic_s()
        self._hand_out_hedges(now_s, urgent=True)
        for waiter, lease in hand_out(self._waiters, self._router, now_s):
            waiter.lease = lease
            waiter.granted.set()
        if not self._waiters:
            self._hand_out_hedges(now_s, urgent=False)

    def _hand_out_hedges(self, now_s: float, *, urgent: bool) -> None:
        if self._fleet.halted.is_set():
            return
        for waiter in [hedge for hedge in self._hedges if hedge.is_urgent is urgent]:
            assert waiter.avoid is not None  # noqa: S101 - the deployment of the first request
            waiter.lease = self._router.lease_besides(waiter.avoid, now_s)
            if waiter.lease is not None:
                self._hedges.remove(waiter)
                waiter.granted.set()

    def _next_s(self) -> float:
        """Seconds until time alone changes something; at most one while a wait is shown."""
        router, now_s = self._router, monotonic_s()
        times_s = [] if (due_s := router.next_due_s()) is None else [due_s]
        if router.down_since_s is not None:
            times_s += [router.down_since_s + self._patience_s, now_s + 1]
        return min((time_s - now_s for time_s in times_s if time_s > now_s), default=math.inf)

    def _hopeless(self) -> DeploymentError | None:
        router, now_s = self._router, monotonic_s()
        if not router.is_hopeless(now_s, patience_s=self._patience_s):
            return None
        if router.all_out:
            return self._fleet.unusable()
        why = router.why_waiting(now_s)
        return DeploymentError(
            f"no deployment was up for {self._patience_s:g} s (patience_s): {why}"
        )

    def _tell(self, name: str, change: Change) -> None:
        reason = self._router.replicas[name].reason
        self._changes.note(name, change, reason.detail if reason else "")


def jitter() -> float:
    """Uniform in [0, 1)."""
    return random.random()  # noqa: S311 - spreads load, guards nothing
