"""Sends a clip's request, and a second one to another deployment if it is slow (main process)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from captionfleet.messages import Attempt, ReadyClip
from captionfleet.sender.chat.answers import Answer
from captionfleet.sender.client import Reply
from captionfleet.sender.fleet import Fleet
from captionfleet.sender.routing.hedging import HedgePolicy
from captionfleet.sender.routing.replicas import Lease
from captionfleet.sender.slots import Slots
from captionfleet.telemetry import Tally, monotonic_s

__all__ = ["Asked", "Asker", "attempt_of"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The reply that counts, and its lease.

    Attributes:
        others: Other requests for the clip; a cancelled one has None as code and status.
    """

    lease: Lease
    reply: Reply
    others: tuple[Attempt, ...] = ()


class Asker:
    """Asks deployments, and hedges where the policy says so.

    `tail` is set once no further clips will come.
    """

    def __init__(self, fleet: Fleet, slots: Slots, tally: Tally, policy: HedgePolicy) -> None:
        self._fleet = fleet
        self._slots = slots
        self._tally = tally
        self._policy = policy
        self._known = anyio.Event()  # set once the usual request time is known
        self.tail = anyio.Event()

    async def ask(
        self, lease: Lease, ready: ReadyClip, number: int, max_tokens: int | None = None
    ) -> Asked:
        """Ask for the caption of one clip; `number` counts its requests from 1.

        The first answer counts, and cancels the other request. A request with `max_tokens` of its
        own is not hedged: the durations of the job's requests do not predict it.
        """
        if not self._policy.is_on or max_tokens is not None:
            return Asked(lease, await self._request(lease, ready, number, max_tokens))
        async with anyio.create_task_group() as tasks:
            race = _Race(tasks.cancel_scope, monotonic_s(), {lease: monotonic_s()})
            tasks.start_soon(self._run, race, lease, ready, number)
            tasks.start_soon(self._hedge, race, lease, ready, number + 1)
        asked = race.decided()
        if isinstance(asked.reply.outcome, Answer):
            self._learn(asked.reply.ended_s - race.started_s)
            self._tally.hedges_won += asked.lease is not lease
        return asked

    async def _request(
        self, lease: Lease, ready: ReadyClip, number: int, max_tokens: int | None = None
    ) -> Reply:
        """One request under a lease, which is returned however the request ends."""
        client = self._fleet.clients[lease.deployment]
        try:
            with _flight(self._tally):
                named = f"-{ready.request}" if ready.request else ""
                request_id = f"{ready.clip.clip_id}{named}-{number}"
                reply = await client.ask(ready, request_id, max_tokens)
        except BaseException:
            self._slots.abandon(lease)
            raise
        self._tally.pay(reply.outcome.usage)
        self._slots.settle(lease, reply.outcome)
        return reply

    async def _run(self, race: "_Race", lease: Lease, ready: ReadyClip, number: int) -> None:
        race.end(lease, await self._request(lease, ready, number))

    async def _hedge(self, race: "_Race", first: Lease, ready: ReadyClip, number: int) -> None:
        """Send a second request when it is due; an answer to the first cancels this."""
        is_urgent = await self._wait_until_due(race.started_s)
        second = await self._slots.lease_besides(first.deployment, is_urgent=is_urgent)
        race.out[second] = monotonic_s()
        self._tally.hedges += 1
        await self._run(race, second, ready, number)

    async def _wait_until_due(self, started_s: float) -> bool:
        """Wait until a hedge is due; return whether it goes before the clips that wait."""
        await self._known.wait()
        with anyio.move_on_after(self._left_s(started_s, is_tail=False)):
            await self.tail.wait()
        if not self.tail.is_set() and self._policy.take():
            return True
        await self.tail.wait()
        await anyio.sleep(self._left_s(started_s, is_tail=True))
        return False

    def _left_s(self, started_s: float, *, is_tail: bool) -> float:
        after_s = self._policy.after_s(is_tail=is_tail) or 0.0
        return max(started_s + after_s - monotonic_s(), 0.0)

    def _learn(self, seconds: float) -> None:
        self._policy.answered(seconds)
        if self._policy.after_s() is not None:
            self._known.set()


@dataclass(slots=True)
class _Race:
    """The requests for one clip: those in flight with their start times, and those that ended."""

    scope: anyio.CancelScope
    started_s: float
    out: dict[Lease, float]
    ended: list[tuple[Lease, Reply]] = field(default_factory=list)

    def end(self, lease: Lease, reply: Reply) -> None:
        """Record the end of a request; an answer, or the end of all, ends the race."""
        del self.out[lease]
        self.ended.append((lease, reply))
        if isinstance(reply.outcome, Answer) or not self.out:
            self.scope.cancel()

    def decided(self) -> Asked:
        """The first answer, or the last failure."""
        answers = (end for end in self.ended if isinstance(end[1].outcome, Answer))
        lease, reply = next(answers, self.ended[-1])
        failed = [attempt_of(*end) for end in self.ended if end[0] is not lease]
        cancelled = [
            Attempt(other.deployment, started_s, reply.ended_s)
            for other, started_s in self.out.items()
        ]
        return Asked(lease, reply, (*failed, *cancelled))


@contextmanager
def _flight(tally: Tally) -> Iterator[None]:
    """Count one request in flight, and its time."""
    started_s = monotonic_s()
    tally.in_flight += 1
    tally.max_in_flight = max(tally.max_in_flight, tally.in_flight)
    try:
        yield
    finally:
        tally.in_flight -= 1
        tally.in_flight_s += monotonic_s() - started_s


def attempt_of(lease: Lease, reply: Reply) -> Attempt:
    """A request that ended, for an output line."""
    code = None if isinstance(reply.outcome, Answer) else reply.outcome.code
    return Attempt(lease.deployment, reply.started_s, reply.ended_s, code, reply.status)
