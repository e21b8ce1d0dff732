"""Asks deployments about test clips, in the same way as for captions (main process)."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio

from captionfleet.check.canary import QUESTION, CanaryClip, Seen, canary_clips, read_answer
from captionfleet.check.findings import Finding, fail, ok, warn
from captionfleet.check.judging import Sent, judged, without_flags
from captionfleet.check.refusals import AGAIN, refusals, unusable
from captionfleet.config import DeploymentConfig, JobConfig, RequestConfig
from captionfleet.deployment.costs import standing_costs, state_of
from captionfleet.errors import ConfigError, FailureCode, RunError
from captionfleet.media.orders import CanaryOrder, Prepared, hold_of
from captionfleet.messages import Clip, Form, ReadyClip, Source
from captionfleet.sender import Fleet, open_fleet
from captionfleet.sender.chat.answers import Answer
from captionfleet.sender.chat.structure import structure_of
from captionfleet.sender.client import Reply
from captionfleet.sender.routing.retry import backoff_s
from captionfleet.sender.routing.verdict import Verdict
from captionfleet.telemetry import Tally, monotonic_s
from captionfleet.workers.process import WorkerDied, WorkerProcess

__all__ = ["Asked", "ask_deployment", "canary_job", "draw_canary"]

_DRAW_S = 120.0
_DRAW_CPU_S = 60
_TRIES = 3
_MAX_TOKENS = 300
_BAD_JOB = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """The result for one deployment: findings, and the seconds and tokens that requests took.

    `long_s` is the duration of the answer about the long clip, None without one.
    """

    findings: list[Finding] = field(default_factory=list)
    long_s: float | None = None
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class DrawnClip:
    """A test clip with its media."""

    clip: CanaryClip
    ready: ReadyClip


def canary_job(job: JobConfig, deployment: DeploymentConfig) -> JobConfig:
    """The job with one deployment and the test question; everything else as for captions."""
    request = RequestConfig(
        prompt=QUESTION,
        max_tokens=_MAX_TOKENS,
        temperature=0,
        stream=job.request.stream,
        timeout_s=job.request.timeout_s,
        connect_timeout_s=job.request.connect_timeout_s,
    )
    return job.with_one(request).model_copy(update={"deployments": (deployment,)})


async def draw_canary(job: JobConfig, folder: Path, seed: int | None = None) -> list[DrawnClip]:
    """Generate the test clips in `folder`, in a worker process.

    Raises:
        RunError: no worker process can be started, or generating fails.
    """
    dice = random.Random(seed)  # noqa: S311 - guessing gains nothing
    clips = canary_clips(job.media.max_seconds * job.media.fps, dice)
    async with WorkerProcess(confine=job.workers.confine) as worker:
        return [await _drawn(worker, clip, job, folder / clip.name) for clip in clips]


async def _drawn(worker: WorkerProcess, clip: CanaryClip, job: JobConfig, hold: Path) -> DrawnClip:
    """The clip in each form that the job's deployments take."""
    first, *others = [
        await _in_form(worker, clip, job, form, Path(hold_of(str(hold), place)))
        for place, form in enumerate(job.forms)
    ]
    return DrawnClip(clip, replace(first, others=tuple(others)))


async def _in_form(
    worker: WorkerProcess, clip: CanaryClip, job: JobConfig, form: Form, hold: Path
) -> ReadyClip:
    order = CanaryOrder(
        clip.shown, clip.frames, clip.sound, job.media.spec(form), str(hold),
        _DRAW_CPU_S, job.workers.memory_bytes,
    )  # fmt: skip
    try:
        with anyio.fail_after(_DRAW_S):
            report = await worker.work_on(order)
    except (TimeoutError, WorkerDied) as error:
        raise RunError(f"the canary's clips cannot be made: {error}") from None
    if not isinstance(report.result, Prepared):
        raise RunError(f"the canary's clips cannot be made: {report.result}")
    facts = report.result.facts
    audio = hold.with_suffix(form.audio_ending) if facts.has_audio else None
    name = f"canary-{clip.name}"
    whole = Clip(name, Source(str(hold), name, 0, 0), 0.0, facts.source_s)
    video = hold.with_suffix(form.video_ending)
    return ReadyClip(whole, video, audio, facts, report.prepare_s, monotonic_s(), form=form)


async def ask_deployment(
    job: JobConfig, deployment: DeploymentConfig, clips: Sequence[DrawnClip]
) -> Asked:
    """Contact a deployment, and ask it about the clips; without clips nothing is paid."""
    name, asked = deployment.name, Asked()
    try:
        async with open_fleet(canary_job(job, deployment), Tally()) as fleet:
            asked.findings.append(_key_finding(fleet, name))
            problem = (await fleet.problems()).get(name)
            if problem is not None and not fleet.may_yet_serve(name, problem):
                asked.findings.append(unusable(fleet, name, problem))
                return asked
            asked.findings.append(_reached(deployment, problem))
            asked.findings.extend(await _costs(deployment))
            if clips:
                asked = await _asked(fleet, deployment, clips, asked)
    except ConfigError as error:
        finding = fail("key", str(error), deployment=name, exit_code=_BAD_JOB)
        return Asked([*asked.findings, finding])
    for request in job.asked:
        if asked.long_s is not None and request.response_schema is not None:
            one = job.with_one(request)
            asked = await _asked_for_json(one, deployment, clips[0], asked, request.name)
    return asked


async def _asked_for_json(
    job: JobConfig, deployment: DeploymentConfig, drawn: DrawnClip, asked: Asked, name: str
) -> Asked:
    """Ask for one caption with the job's own prompt and schema; `name` is the request's."""
    alone = job.model_copy(update={"deployments": (deployment,)})
    structure = structure_of(job.request)
    assert structure is not None  # noqa: S101 - there is a schema
    async with open_fleet(alone, Tally()) as fleet:
        outcome = (await _ask(fleet, deployment.name, drawn.ready)).outcome
    tokens = asked.tokens + _tokens(outcome)
    if isinstance(outcome, Answer):
        outcome = structure.read(outcome)
    of_name = f" of request {name}" if name else ""
    if isinstance(outcome, Answer):
        words = f"an answer fits response_schema{of_name}"
        found = ok("structure", words, deployment=deployment.name)
    else:
        advice = "does the prompt say what to write, and does the server take response_format?"
        text = (
            f"an answer{of_name} is {outcome.code}: {outcome.detail}"
            if name
            else (f"{outcome.code}: {outcome.detail}")
        )
        found = fail("structure", text, advice, deployment=deployment.name)
    return Asked([*asked.findings, found], asked.long_s, tokens)


def _reached(deployment: DeploymentConfig, problem: Verdict | None) -> Finding:
    """The finding on the list of models; a run does not need that list."""
    if problem is None:
        return ok("reachable", deployment.base_url, deployment=deployment.name)
    text = f"gives no list of models ({problem.detail})"
    return warn("reachable", text, "a run asks all the same", deployment=deployment.name)


async def _costs(deployment: DeploymentConfig) -> list[Finding]:
    state = await state_of(deployment)
    if state is None or state.is_gone:
        return []
    say = ok if state.is_off or state.sleeps_after else warn
    return [say("costs", standing_costs(state), deployment=deployment.name)]


def _key_finding(fleet: Fleet, name: str) -> Finding:
    words = fleet.key_in_words(name)
    hosts = [host for host, _ in fleet.deployments[name].keys_in_clear]
    if hosts:
        text = f"{words}; it goes unencrypted to {', '.join(hosts)}"
        return warn("key", text, "use https: others on the way can read it", deployment=name)
    return ok("key", words, deployment=name)


async def _asked(
    fleet: Fleet, deployment: DeploymentConfig, clips: Sequence[DrawnClip], asked: Asked
) -> Asked:
    name, hears = deployment.name, "audio" in deployment.modalities
    replies: dict[str, Reply] = {}
    for drawn in clips:
        if hears or drawn.clip.sound != "speech":
            reply = replies[drawn.clip.name] = await _ask(fleet, name, drawn.ready)
            if isinstance(reply.outcome, Verdict) and len(replies) == 1:
                break  # a deployment that refuses the simplest clip refuses all
            if drawn.clip.sound == "speech" and _is_server_error(reply):
                replies[AGAIN] = await _ask(fleet, name, clips[0].ready)
    outcomes = {name: reply.outcome for name, reply in replies.items()}
    refused = refusals(fleet, deployment, [one.clip for one in clips], outcomes)
    seen = {
        one.clip.name: _seen(outcome)
        for one in clips
        if (outcome := _outcome(replies, one)) and isinstance(outcome, Answer)
    }
    words = _answer_findings(deployment, clips, seen) if seen else []
    long = replies.get("long")
    return Asked(
        [*asked.findings, *refused, *words],
        long.ended_s - long.started_s if long and "long" in seen else None,
        sum(_tokens(one.outcome) for one in replies.values()),
    )


def _is_server_error(reply: Reply) -> bool:
    outcome = reply.outcome
    return isinstance(outcome, Verdict) and outcome.code is FailureCode.SERVER_ERROR


def _outcome(replies: dict[str, Reply], drawn: DrawnClip) -> Answer | Verdict | None:
    reply = replies.get(drawn.clip.name)
    return reply.outcome if reply else None


def _seen(answer: Answer) -> Seen:
    is_cut = answer.finish_reason == "length"
    return read_answer(answer.text, answer.usage.prompt_tokens, is_cut=is_cut)


def _answer_findings(
    deployment: DeploymentConfig, clips: Sequence[DrawnClip], seen: dict[str, Seen]
) -> list[Finding]:
    """The findings from the answers of a deployment."""
    facts = clips[0].ready.in_form(deployment.form).facts
    sent = Sent(deployment.form, facts.width, facts.height, hears="audio" in deployment.modalities)
    shown = [_as_sent(one, deployment.form) for one in clips]
    found = [
        ok("model", f"{deployment.model} answers"),
        *judged(shown, seen, deployment.known_as, sent),
    ]
    if deployment.speaks_fireworks:
        found = [without_flags(finding) for finding in found]
    return [replace(finding, deployment=deployment.name) for finding in found]


def _as_sent(drawn: DrawnClip, form: Form) -> CanaryClip:
    """The clip reduced to the frames that the deployment got (`max_frames`)."""
    facts, clip = drawn.ready.in_form(form).facts, drawn.clip
    fps = clip.frames / facts.source_s
    return clip.with_frames([round(time_s * fps) for time_s in facts.frame_times_s])


def _tokens(outcome: Answer | Verdict) -> int:
    usage = outcome.usage
    return (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)


async def _ask(fleet: Fleet, name: str, ready: ReadyClip) -> Reply:
    """Ask once; ask again where the failure may be temporary, as with a new key."""
    for failures in range(1, _TRIES):
        reply = await fleet.clients[name].ask(ready, f"{ready.clip.clip_id}-{failures}")
        outcome = reply.outcome
        if isinstance(outcome, Answer) or not outcome.retry:
            return reply
        if outcome.code is FailureCode.SCALING_UP:
            return reply
        jitter = random.random()  # noqa: S311 - spreads load
        await anyio.sleep(backoff_s(failures, jitter=jitter, floor_s=outcome.retry_after_s))
    return await fleet.clients[name].ask(ready, f"{ready.clip.clip_id}-{_TRIES}")
