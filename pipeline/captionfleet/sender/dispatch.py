"""Sends ready clips to the fleet, and passes their outcomes on (main process)."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from captionfleet.config import JobConfig, RequestConfig
from captionfleet.errors import FailureCode, Stage
from captionfleet.messages import (
    Attempt,
    Caption,
    Failure,
    Latency,
    Outcome,
    ReadyClip,
)
from captionfleet.sender.chat.again import is_unwanted, is_worse, is_worth_another, tokens_for
from captionfleet.sender.chat.answers import Answer
from captionfleet.sender.chat.quality import flags_of
from captionfleet.sender.chat.structure import structure_of
from captionfleet.sender.client import Reply
from captionfleet.sender.filling import filled
from captionfleet.sender.fleet import Fleet
from captionfleet.sender.race import Asker, attempt_of
from captionfleet.sender.routing.hedging import HedgePolicy
from captionfleet.sender.routing.policy import Past, RetryPolicy, lanes
from captionfleet.sender.routing.verdict import Verdict, judge, one_line
from captionfleet.sender.sent import sent_facts
from captionfleet.sender.slots import HaltedError, Slots, jitter
from captionfleet.telemetry import Tally

__all__ = ["send"]

Hold = Callable[[Outcome], object]


async def send(  # noqa: PLR0913, PLR0917 - a stage with two streams
    job: JobConfig,
    fleet: Fleet,
    ready_in: MemoryObjectReceiveStream[ReadyClip],
    outcomes_out: MemoryObjectSendStream[Outcome],
    tally: Tally,
    hold: Hold | None = None,
) -> None:
    """Send every incoming clip until the stream ends; closes both streams.

    Once the fleet is halted, no request begins, and clips without an answer are dropped. Calls
    `hold` with every outcome before it waits with it for a place in the stream, and with every
    caption that is the clip's unless a better one comes: a cancellation loses no other copy.

    Raises:
        DeploymentError: no deployment can be used, or none was up for patience_s.
    """
    patience_s = max(request.patience_s for request in job.asked)
    slots = Slots(fleet, tally, patience_s=patience_s)
    hold = hold or _dropped
    senders = {one.name: _Sender(one, fleet, slots, tally, hold) for one in job.asked}
    places = sum(deployment.most_in_flight for deployment in job.deployments)
    async with ready_in, outcomes_out, anyio.create_task_group() as tasks:
        tasks.start_soon(slots.watch, tasks.cancel_scope)
        tasks.start_soon(slots.watch_halt)
        tasks.start_soon(slots.watch_growth)
        tasks.start_soon(slots.say_changes)
        async with anyio.create_task_group() as lane_tasks:
            for _ in range(lanes(places)):
                lane_tasks.start_soon(_run_lane, senders, ready_in, outcomes_out, hold)
        tasks.cancel_scope.cancel()
    if slots.end is not None:
        raise slots.end


async def _run_lane(
    senders: Mapping[str, "_Sender"],
    ready_in: MemoryObjectReceiveStream[ReadyClip],
    outcomes_out: MemoryObjectSendStream[Outcome],
    hold: Hold,
) -> None:
    """Take ready clips one by one, and pass on the outcome of each."""
    async for ready in ready_in:
        with suppress(HaltedError):
            outcome = await senders[ready.request].outcome(ready)
            hold(outcome)
            await outcomes_out.send(outcome)
    for sender in senders.values():
        sender.asker.tail.set()


class _Sender:
    """State of one of the job's requests that all lanes share: settings, slots, retry budget."""

    def __init__(
        self, request: RequestConfig, fleet: Fleet, slots: Slots, tally: Tally, hold: Hold
    ) -> None:
        self._hold = hold
        self._fleet = fleet
        self._slots = slots
        self._tally = tally
        self._policy = RetryPolicy(request.max_attempts, fleet.router, fleet.tuning.backoff)
        self._structure = structure_of(request)
        self._request = request
        self._template = request.template
        hedging = HedgePolicy(request.hedge_percentile, least_seen=fleet.tuning.least_seen)
        self.asker = Asker(fleet, slots, tally, hedging)

    async def outcome(self, ready: ReadyClip) -> Outcome:
        """Ask until there is a caption, or until no attempt is left."""
        ready = filled(ready, self._template)
        attempts: list[Attempt] = []
        past, hedged = Past(), False
        spare: Caption | None = None  # a flagged caption, kept in case the retries fail
        max_tokens: int | None = None
        while True:
            try:
                lease = await self._slots.lease(past.avoid)
            except HaltedError:
                if spare is None:
                    raise
                return spare
            asked = await self.asker.ask(lease, ready, len(attempts) + 1, max_tokens)
            lease, reply = asked.lease, self._judged(asked.reply, attempts)
            attempts += [*asked.others, attempt_of(lease, reply)]
            hedged = hedged or bool(asked.others)
            if spare is not None:
                spare = self._spared(spare, attempts)
            verdict = reply.outcome
            if isinstance(verdict, Answer):
                self._policy.captioned()
                caption = self._caption(ready, verdict, attempts, reply.upload_s)
                caption = replace(caption, hedged=hedged)
                if spare is not None:
                    return spare if is_worse(caption.flags, spare.flags) else caption
                may_ask_again = self._policy.may_burn(past.burnt)
                if not is_worth_another(caption.flags, self._request) or not may_ask_again:
                    return caption
                spare = self._spared(caption, attempts)
                max_tokens = tokens_for(caption.flags, self._request)
                past = replace(past, burnt=past.burnt + 1, avoid=lease.deployment)
                self._tally.retries += 1
                continue
            more = self._request.retry_truncated_tokens
            if verdict.is_cut_off and more and not max_tokens and self._policy.may_burn(past.burnt):
                past, max_tokens = replace(past, burnt=past.burnt + 1), more
                self._tally.retries += 1
                continue
            again = self._policy.failed(lease, verdict, past, jitter=jitter())
            if again is None:
                return spare or _given_up(ready, verdict, attempts)
            self._tally.retries += 1
            past = again.past
            await self._slots.back_off(again.wait_s)

    def _spared(self, spare: Caption, attempts: list[Attempt]) -> Caption:
        """A caption in hand, with all attempts so far; it is held, as the run may end meanwhile."""
        spare = replace(spare, attempts=tuple(attempts))
        self._hold(spare)
        return spare

    def _judged(self, reply: Reply, attempts: list[Attempt]) -> Reply:
        """The reply, with its data if the job asks for JSON.

        JSON that does not fit the schema is retried once; the deployment has done its work, so its
        window does not shrink. A connection that the server had closed costs no attempt, once.
        """
        outcome = reply.outcome
        if isinstance(outcome, Verdict):
            outcome = replace(outcome, stale=outcome.stale and _is_first(outcome, attempts))
        elif is_unwanted(outcome, self._request):
            words = f"the model refused: {one_line(outcome.text)}"
            outcome = judge(FailureCode.UNFINISHED_ANSWER, words, retry=False)
        elif self._structure is not None:
            outcome = self._structure.read(outcome)
            if isinstance(outcome, Verdict):
                outcome = replace(outcome, retry=outcome.retry and _is_first(outcome, attempts))
        return replace(reply, outcome=outcome)

    def _caption(
        self, ready: ReadyClip, answer: Answer, attempts: list[Attempt], upload_s: float | None
    ) -> Caption:
        last = attempts[-1]
        sent = ready.in_form(self._fleet.deployments[last.deployment].form)
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
                decode_s=sent.decode_s,
                encode_s=sent.encode_s,
                upload_s=upload_s,
            ),
            facts=sent_facts(sent.facts, self._fleet.deployments[last.deployment]),
            attempts=tuple(attempts),
            server=answer.server,
            flags=flags_of(answer.text, answer.finish_reason, is_refused=answer.is_refused),
            data=answer.data,
            media_key=sent.media_key,
            reasoning=answer.reasoning,
            request=ready.request,
            prompt=ready.prompt,
        )


def _is_first(verdict: Verdict, attempts: list[Attempt]) -> bool:
    return all(attempt.code is not verdict.code for attempt in attempts)


def _dropped(_: Outcome) -> None:
    """Hold nothing: there is no ledger, as in a benchmark."""


def _given_up(ready: ReadyClip, verdict: Verdict, attempts: list[Attempt]) -> Outcome:
    """The failure of a clip after its last attempt."""
    detail, request = verdict.detail, ready.request
    return Failure(ready.clip, Stage.SENDER, verdict.code, detail, tuple(attempts), request)
