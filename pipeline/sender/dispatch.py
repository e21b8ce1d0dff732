"""Sends ready clips to the fleet and hands on what became of them (main process)."""

import math
import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from pipeline.config import JobConfig
from pipeline.errors import DeploymentError, Stage
from pipeline.messages import Attempt, Caption, Failure, Latency, MediaFacts, Outcome, ReadyClip
from pipeline.sender.answers import Answer
from pipeline.sender.client import Reply
from pipeline.sender.fleet import Fleet
from pipeline.sender.policy import RetryPolicy, hand_out, lanes
from pipeline.sender.quality import DEGENERATE, flags_of
from pipeline.sender.replicas import Change, Lease, Router
from pipeline.sender.structure import structure_of
from pipeline.sender.verdict import Verdict
from pipeline.telemetry import Tally, get_log, monotonic_s

__all__ = ["Slots", "send"]

_QUEUE_METRIC = "prefill-queue-duration"


async def send(
    job: JobConfig,
    fleet: Fleet,
    ready_in: MemoryObjectReceiveStream[ReadyClip],
    outcomes_out: MemoryObjectSendStream[Outcome],
    tally: Tally,
) -> None:
    """Send every clip that comes in until the stream ends; both stream ends are closed.

    Once the fleet is halted no request begins any more, and clips without an answer are dropped.

    Raises:
        DeploymentError: no deployment can be used, or none was up for patience_s.
    """
    slots = Slots(fleet, tally, patience_s=job.request.patience_s)
    sender = _Sender(job, fleet, slots, tally)
    places = sum(deployment.most_in_flight for deployment in job.deployments)
    async with ready_in, outcomes_out, anyio.create_task_group() as tasks:
        tasks.start_soon(slots.watch, tasks.cancel_scope)
        tasks.start_soon(slots.heed_halt)
        tasks.start_soon(slots.heed_growth)
        async with anyio.create_task_group() as lane_tasks:
            for _ in range(lanes(places)):
                lane_tasks.start_soon(sender.run_lane, ready_in, outcomes_out)
        tasks.cancel_scope.cancel()
    if slots.end is not None:
        raise slots.end


class _HaltedError(Exception):
    """Raised to whoever wants to begin a request after the fleet was halted."""


@dataclass(slots=True, eq=False)
class _Waiter:
    avoid: str | None
    granted: anyio.Event = field(default_factory=anyio.Event)
    lease: Lease | None = None


class Slots:
    """The router for many tasks: whoever finds no place waits, first come, first served.

    Only a clip that waits for another deployment than the last one lets others pass.
    """

    def __init__(self, fleet: Fleet, tally: Tally, *, patience_s: float) -> None:
        self._fleet = fleet
        self._router: Router = fleet.router
        self._tally = tally
        self._patience_s = patience_s
        self._waiters: deque[_Waiter] = deque()
        self._stirred = anyio.Event()
        self.end: DeploymentError | None = None

    async def lease(self, avoid: str | None = None) -> Lease:
        """Wait for the right to one request; give it back with `settle` or `abandon`.

        Raises:
            _HaltedError: no request begins any more.
        """
        if self._fleet.halted.is_set():
            raise _HaltedError
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
            raise _HaltedError
        return waiter.lease

    async def heed_halt(self) -> None:
        """Send everybody home who waits when the fleet is halted."""
        await self._fleet.halted.wait()
        while self._waiters:
            self._waiters.popleft().granted.set()

    async def heed_growth(self) -> None:
        """Hand out the places that new replicas bring, without waiting for a request to end."""
        while True:
            await self._fleet.grown.wait()
            self._stir()

    def settle(self, lease: Lease, outcome: Answer | Verdict) -> None:
        """Give a lease back with what the request came to."""
        now_s = monotonic_s()
        if isinstance(outcome, Answer):
            queue_s = outcome.server.get(_QUEUE_METRIC)
            known = queue_s if isinstance(queue_s, float) else None
            change = self._router.succeed(lease, now_s=now_s, queue_s=known)
        else:
            change = self._router.fail(lease, outcome, now_s=now_s, jitter=_jitter())
        if change is not None:
            self._tell(lease.deployment, change)
        self._stir()

    def abandon(self, lease: Lease) -> None:
        """Give a lease back whose request was cancelled."""
        self._router.abandon(lease)
        self._stir()

    async def watch(self, scope: anyio.CancelScope) -> None:
        """Hand out leases that time brings; when none can come any more, end the scope."""
        while self.end is None:
            self._hand_out()
            self._tally.waiting_for = self._router.why_waiting(monotonic_s())
            self._stirred = anyio.Event()
            with anyio.move_on_after(self._next_s()):
                await self._stirred.wait()
            self.end = self._hopeless()
        scope.cancel()

    def _stir(self) -> None:
        self._hand_out()
        self._stirred.set()

    def _hand_out(self) -> None:
        for waiter, lease in hand_out(self._waiters, self._router, monotonic_s()):
            waiter.lease = lease
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
        detail = {"reason": reason.detail} if reason else {}
        tell = get_log().info if change is Change.READMITTED else get_log().warning
        tell("deployment_changed", deployment=name, now=change.value, **detail)


class _Sender:
    """What the lanes share: the job, the slots and the retry budget."""

    def __init__(self, job: JobConfig, fleet: Fleet, slots: Slots, tally: Tally) -> None:
        self._fleet = fleet
        self._slots = slots
        self._tally = tally
        self._policy = RetryPolicy(job.request.max_attempts)
        self._structure = structure_of(job.request)

    async def run_lane(
        self,
        ready_in: MemoryObjectReceiveStream[ReadyClip],
        outcomes_out: MemoryObjectSendStream[Outcome],
    ) -> None:
        """One clip after the other, from ready to outcome."""
        async for ready in ready_in:
            with suppress(_HaltedError):
                await outcomes_out.send(await self._outcome(ready))

    async def _outcome(self, ready: ReadyClip) -> Outcome:
        attempts: list[Attempt] = []
        burnt = 0
        avoid = None
        spare: Caption | None = None  # degenerate: better than nothing
        while True:
            try:
                lease = await self._slots.lease(avoid)
            except _HaltedError:
                if spare is None:
                    raise
                return spare
            reply = await self._ask(lease, ready, f"{ready.clip.clip_id}-{len(attempts) + 1}")
            reply = self._structured(reply, attempts)
            attempts.append(_attempt(lease, reply))
            verdict = reply.outcome
            if isinstance(verdict, Answer):
                self._policy.captioned()
                caption = self._caption(ready, verdict, attempts, reply.upload_s)
                may_ask_again = not spare and self._policy.may_burn(burnt)
                if DEGENERATE not in caption.flags or not may_ask_again:
                    return caption
                spare, burnt, avoid = caption, burnt + 1, lease.deployment
                self._tally.retries += 1
                continue
            is_out = self._fleet.router.replicas[lease.deployment].is_out
            again = self._policy.failed(verdict, burnt=burnt, is_out=is_out, jitter=_jitter())
            if again is None:
                return _given_up(ready, verdict, attempts, spare)
            self._tally.retries += 1
            burnt, avoid = again.burnt, lease.deployment
            await anyio.sleep(again.wait_s)

    async def _ask(self, lease: Lease, ready: ReadyClip, request_id: str) -> Reply:
        """One request under a lease, which is given back however the request ends."""
        try:
            with _flight(self._tally):
                reply = await self._fleet.clients[lease.deployment].ask(ready, request_id)
        except BaseException:
            self._slots.abandon(lease)
            raise
        self._slots.settle(lease, reply.outcome)
        return reply

    def _structured(self, reply: Reply, attempts: list[Attempt]) -> Reply:
        """The reply with its data where JSON was asked for; a misfit is asked for once more.

        The deployment has done its work either way, so its window does not hear of it.
        """
        if self._structure is None or not isinstance(reply.outcome, Answer):
            return reply
        outcome = self._structure.read(reply.outcome)
        if isinstance(outcome, Verdict):
            is_first = all(attempt.code is not outcome.code for attempt in attempts)
            outcome = replace(outcome, retry=outcome.retry and is_first)
        return replace(reply, outcome=outcome)

    def _caption(
        self, ready: ReadyClip, answer: Answer, attempts: list[Attempt], upload_s: float | None
    ) -> Caption:
        last = attempts[-1]
        queue_s = last.started_s - ready.ready_s
        request_s = last.ended_s - last.started_s
        return Caption(
            clip=ready.clip,
            text=answer.text,
            finish_reason=answer.finish_reason,
            model=self._fleet.deployments[last.deployment].model,
            deployment=last.deployment,
            usage=answer.usage,
            latency=Latency(
                prepare_s=ready.prepare_s,
                queue_s=queue_s,
                request_s=request_s,
                ttft_s=answer.ttft_s,
                total_s=ready.prepare_s + queue_s + request_s,
                decode_s=ready.decode_s,
                encode_s=ready.encode_s,
                upload_s=upload_s,
            ),
            facts=self._sent_facts(ready, last.deployment),
            attempts=tuple(attempts),
            server=answer.server,
            flags=flags_of(answer.text, answer.finish_reason),
            data=answer.data,
            media_key=ready.media_key,
        )

    def _sent_facts(self, ready: ReadyClip, deployment: str) -> MediaFacts:
        """The facts of what was sent: a deployment that does not hear got no sound."""
        facts = ready.facts
        if not facts.has_audio or "audio" in self._fleet.deployments[deployment].modalities:
            return facts
        return replace(
            facts,
            has_audio=False,
            audio_s=0.0,
            audio_bytes=0,
            audio_sha256=None,
            payload_bytes=4 * -(-facts.video_bytes // 3),
        )


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


def _attempt(lease: Lease, reply: Reply) -> Attempt:
    code = None if isinstance(reply.outcome, Answer) else reply.outcome.code
    return Attempt(lease.deployment, reply.started_s, reply.ended_s, code, reply.status)


def _given_up(
    ready: ReadyClip, verdict: Verdict, attempts: list[Attempt], spare: Caption | None
) -> Outcome:
    """The end of a clip that is not asked again: its flagged caption, if there is one."""
    if spare is not None:
        return replace(spare, attempts=tuple(attempts))
    return Failure(ready.clip, Stage.SENDER, verdict.code, verdict.detail, tuple(attempts))


def _jitter() -> float:
    return random.random()  # noqa: S311 - spreads load, guards nothing
