"""Sends test clips to deployments, in the same way as for captions (main process)."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import anyio

from captionfleet.check.canary import QUESTION, CanaryClip, Seen, read_answer
from captionfleet.check.drawing import DrawnClip
from captionfleet.check.finding import Finding, fail, ok, warn
from captionfleet.check.refusals import AGAIN, refusals, unusable
from captionfleet.check.seen_and_heard import Sent, judged, without_flags
from captionfleet.config import DeploymentConfig, JobConfig, RequestConfig
from captionfleet.config.templates import TemplateError
from captionfleet.deployment.costs import standing_costs, state_of
from captionfleet.errors import ConfigError, FailureCode
from captionfleet.messages import Form, ReadyClip, Source
from captionfleet.sender import Fleet, SenderTuning, open_fleet
from captionfleet.sender.chat.answers import Answer
from captionfleet.sender.chat.structure import structure_of
from captionfleet.sender.client import Reply
from captionfleet.sender.filling import filled
from captionfleet.sender.routing.verdict import Verdict
from captionfleet.telemetry import Tally

__all__ = ["Asked", "ask_deployment", "canary_job"]

_TRIES = 3
_MAX_TOKENS = 300
_BAD_JOB = 2
_TUNING = SenderTuning()


@dataclass(frozen=True, slots=True)
class Asked:
    """The result for one deployment: findings, and the seconds and tokens that requests took.

    `long_s` is the duration of the answer about the long clip, None without one.
    """

    findings: list[Finding] = field(default_factory=list)
    long_s: float | None = None
    tokens: int = 0


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


async def ask_deployment(
    job: JobConfig,
    deployment: DeploymentConfig,
    clips: Sequence[DrawnClip],
    example: Source | None = None,
    tuning: SenderTuning = _TUNING,
) -> Asked:
    """Contact a deployment, and ask it about the clips; without clips nothing is paid.

    Prompt templates are filled in from `example`, a film of the job.
    """
    name, asked = deployment.name, Asked()
    try:
        async with open_fleet(canary_job(job, deployment), Tally(), tuning) as fleet:
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
            one = job.with_one(request).model_copy(update={"deployments": (deployment,)})
            try:
                ready = _as_of(example, clips[0].ready, request)
            except TemplateError as error:
                finding = _not_asked(deployment.name, request.name, str(error))
                asked = replace(asked, findings=[*asked.findings, finding])
                continue
            asked = await _asked_for_json(one, ready, asked, request.name, tuning)
    return asked


def _as_of(example: Source | None, ready: ReadyClip, request: RequestConfig) -> ReadyClip:
    """The clip with the prompt that a run would send for this film.

    Raises:
        TemplateError: the film lacks a value that the prompt names.
    """
    if example is None:
        return filled(ready, request.template)
    asked = filled(replace(ready, clip=replace(ready.clip, source=example)), request.template)
    return replace(ready, prompt=example.row.prompt or asked.prompt)


def _not_asked(deployment: str, request: str, why: str) -> Finding:
    of_name = f" of request {request}" if request else ""
    advice = "name a list of films that has it: the prompt is then tried with its first row"
    text = f"the prompt{of_name} was not tried: {why}"
    return warn("structure", text, advice, deployment=deployment)


async def _asked_for_json(
    job: JobConfig, ready: ReadyClip, asked: Asked, name: str, tuning: SenderTuning
) -> Asked:
    """Ask the job's one deployment with its own prompt and schema; `name` is the request's."""
    (deployment,) = job.deployments
    structure = structure_of(job.request)
    assert structure is not None  # noqa: S101 - there is a schema
    async with open_fleet(job, Tally(), tuning) as fleet:
        outcome = (await _ask(fleet, deployment.name, ready)).outcome
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
    return warn("reachable", text, "a run does not need it", deployment=deployment.name)


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
    """Ask once; ask again if the failure may be temporary, as with a new key."""
    for failures in range(1, _TRIES):
        reply = await fleet.clients[name].ask(ready, f"{ready.clip.clip_id}-{failures}")
        outcome = reply.outcome
        if isinstance(outcome, Answer) or not outcome.retry:
            return reply
        if outcome.code is FailureCode.SCALING_UP:
            return reply
        jitter = random.random()  # noqa: S311 - spreads load
        backoff, floor_s = fleet.tuning.backoff, outcome.retry_after_s
        await anyio.sleep(backoff.wait_s(failures, jitter=jitter, floor_s=floor_s))
    return await fleet.clients[name].ask(ready, f"{ready.clip.clip_id}-{_TRIES}")
