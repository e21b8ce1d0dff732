"""Opens, checks and reports on all deployments of one run (main process)."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import anyio

from captionfleet.config import DeploymentConfig, JobConfig
from captionfleet.config.keys import DEFAULT_KEY_ENV
from captionfleet.errors import ConfigError, DeploymentError, FailureCode
from captionfleet.sender.body import UPLOAD_STALL_S
from captionfleet.sender.chat.request import model_forms
from captionfleet.sender.client import STREAM_END_S, DeploymentClient
from captionfleet.sender.connections import MAX_AGE_S
from captionfleet.sender.routing.hedging import LEAST_SEEN
from captionfleet.sender.routing.history import place_seconds
from captionfleet.sender.routing.limits import AdaptiveWindow, FixedWindow
from captionfleet.sender.routing.replicas import Replica, ReplicaTuning
from captionfleet.sender.routing.retry import Backoff
from captionfleet.sender.routing.router import Router
from captionfleet.sender.routing.verdict import Verdict, judge
from captionfleet.sender.transport import open_session
from captionfleet.telemetry import Tally, get_log, monotonic_s

__all__ = ["Fleet", "SenderTuning", "open_fleet"]

_FORBIDDEN = 403
_PICTURES = " Name one that takes pictures and no video with --server, as ollama or llama-server"


@dataclass(frozen=True, slots=True)
class SenderTuning:
    """The sender's waits and thresholds, which no job sets.

    Attributes:
        check_s: Seconds that a deployment has for its list of models.
        sure_s: Seconds of checks that find no deployment: a proxy's restart takes less.
        look_every_s: Seconds between these checks.
        stall_s: Seconds that a server may leave an upload unread.
        stream_end_s: Seconds of silence that end a stream whose caption is complete.
        max_age_s: Seconds for which a connection is reused.
        least_seen: Answers before a request is hedged.
        backoff: Waits before retries.
        replicas: Waits before a deployment is probed or out.
    """

    check_s: float = 10.0
    sure_s: float = 2.0
    look_every_s: float = 0.5
    stall_s: float = UPLOAD_STALL_S
    stream_end_s: float = STREAM_END_S
    max_age_s: float = MAX_AGE_S
    least_seen: int = LEAST_SEEN
    backoff: Backoff = field(default_factory=Backoff)
    replicas: ReplicaTuning = field(default_factory=ReplicaTuning)


_TUNING = SenderTuning()


class Fleet:
    """The clients of all deployments, and the router that chooses among them.

    Once `halted` is set, no request begins; those in flight continue. `grown` is set, and then
    replaced, whenever the number of places or of usable deployments changes.
    """

    def __init__(
        self,
        deployments: tuple[DeploymentConfig, ...],
        clients: Mapping[str, DeploymentClient],
        tally: Tally,
        tuning: SenderTuning = _TUNING,
    ) -> None:
        self.tuning = tuning
        self.deployments = {deployment.name: deployment for deployment in deployments}
        self.clients = clients
        self.halted = anyio.Event()
        self.grown = anyio.Event()
        self._tally = tally
        now_s = monotonic_s()
        self.router = Router(
            [Replica(d.name, _window(d, now_s), tuning.replicas) for d in deployments]
        )

    async def check(self) -> None:
        """Contact every deployment; those that cannot be reached start ejected.

        A silent one, or one that closes the connection, may be a cold gateway: requests will wait
        for it, for at most patience_s.

        Raises:
            DeploymentError: none can be used, after retries for two seconds.
        """
        self._tell_of_keys()
        self._tally.waiting_for = "the deployments to answer"
        problems = await self.problems()
        self._tally.waiting_for = ""
        if not self._may_serve(problems):
            raise self.unusable(problems)
        for name, problem in problems.items():
            get_log().warning("deployment_doubtful", deployment=name, reason=problem.detail)
            if problem.code is not FailureCode.UNAUTHORIZED:
                self.router.take_down(name, problem, now_s=monotonic_s())

    async def problems(self) -> dict[str, Verdict]:
        """Why deployments cannot be reached, by name; checks repeatedly while none can be used."""
        end_s = monotonic_s() + self.tuning.sure_s
        problems = await self._look()
        while not self._may_serve(problems) and monotonic_s() < end_s:
            await anyio.sleep(self.tuning.look_every_s)
            problems = await self._look()
        return problems

    async def _look(self) -> dict[str, Verdict]:
        problems: dict[str, Verdict] = {}

        async def contact(name: str, client: DeploymentClient) -> None:
            if (problem := await client.check(self.tuning.check_s)) is not None:
                problems[name] = problem

        async with anyio.create_task_group() as tasks:
            for name, client in self.clients.items():
                tasks.start_soon(contact, name, client)
        return problems

    def _may_serve(self, problems: Mapping[str, Verdict]) -> bool:
        return any(
            name not in problems or self.may_yet_serve(name, problems[name])
            for name in self.clients
        )

    def _tell_of_keys(self) -> None:
        for name, deployment in self.deployments.items():
            for host, variable in deployment.keys_in_clear:
                get_log().warning(
                    "a key goes unencrypted to another machine: use https",
                    deployment=name,
                    key=variable,
                    host=host,
                )
            if deployment.withholds_default_key:
                get_log().warning("no key is sent", deployment=name, reason=self.key_in_words(name))

    def may_yet_serve(self, name: str, problem: Verdict) -> bool:
        """Whether a deployment without a list of models may still caption."""
        if self.router.replicas[name].is_held:
            return True
        if problem.code is FailureCode.UNAUTHORIZED:
            return problem.status == _FORBIDDEN  # the key may be valid for captions only
        return problem.code not in {FailureCode.CONNECT_FAILED, FailureCode.MALFORMED_ANSWER}

    def unusable(self, problems: Mapping[str, Verdict] | None = None) -> DeploymentError:
        """The error that ends the run; names each deployment and what is wrong with it."""
        reasons = problems or {
            name: replica.reason
            for name, replica in self.router.replicas.items()
            if replica.reason is not None
        }
        words = "; ".join(f"{name}: {self.advice(name, why)}" for name, why in reasons.items())
        return DeploymentError(f"no deployment can be used: {words}")

    def advice(self, name: str, verdict: Verdict) -> str:
        """What is wrong with a deployment and what to check; the text follows its name."""
        deployment = self.deployments[name]
        match verdict.code:
            case FailureCode.UNAUTHORIZED:
                return (
                    f"refuses the key or the account ({verdict.detail}; {self.key_in_words(name)})"
                )
            case FailureCode.MODEL_NOT_FOUND if deployment.speaks_fireworks:
                forms = ", ".join(model_forms(deployment.model))
                return f"does not know the model ({verdict.detail}); the forms to try: {forms}"
            case FailureCode.MODEL_NOT_FOUND:
                hint = "" if urlsplit(deployment.base_url).path.strip("/") else "; is it …/v1?"
                return (
                    f"does not know the model {deployment.model} under {deployment.base_url} "
                    f"({verdict.detail}{hint})"
                )
            case FailureCode.REJECTED | FailureCode.PAYLOAD_REFUSED if verdict.rejects:
                is_video = deployment.form.video_as == "video_url"
                media = "video" if is_video else "pictures"
                media += " and sound" if "audio" in deployment.modalities else ""
                return (
                    f"refuses every clip ({verdict.detail}): does it know the model "
                    f"{deployment.model}, and take {media} of this size?{_PICTURES * is_video}"
                )
            case FailureCode.REJECTED:
                return f"answers with a redirect ({verdict.detail}): base_url must be the end of it"
            case _:
                return f"{verdict.detail} ({deployment.base_url})"

    def key_in_words(self, name: str) -> str:
        """The key that a deployment gets, for people."""
        deployment, variable = self.deployments[name], self.clients[name].key_env
        if variable:
            return f"key from {variable}"
        if deployment.withholds_default_key:
            host = urlsplit(deployment.base_url).hostname
            return f"{DEFAULT_KEY_ENV} is not sent to {host} unless api_key_env names it"
        return "no key is sent"

    def follow(self, name: str, replicas: int) -> None:
        """Let a deployment's ceiling follow its replica count, which counts as 1 while none is up.

        Connections and lanes exist for `most_in_flight`, with any number of replicas.
        """
        deployment = self.deployments[name]
        if deployment.counted_at is None:
            return
        ceiling = min(deployment.places(max(replicas, 1)), deployment.most_in_flight)
        if self.router.follow(name, ceiling, now_s=monotonic_s()):
            self._tell_of_growth()

    def hold(self, name: str) -> None:
        """Send nothing to a deployment that is still starting, and wait for it."""
        self.router.hold(name)

    def release(self, name: str) -> None:
        """Send to a deployment that was held: it serves now."""
        self.router.release(name, now_s=monotonic_s())
        self._tell_of_growth()

    def give_up(self, name: str, reason: str) -> None:
        """Stop waiting for a deployment that was held, because it does not come up."""
        verdict = judge(FailureCode.SCALING_UP, reason)
        self.router.give_up(name, verdict, now_s=monotonic_s())
        self._tell_of_growth()

    def _tell_of_growth(self) -> None:
        self.grown.set()
        self.grown = anyio.Event()

    def place_seconds(self, seconds: float) -> float:
        """Places times seconds, summed over all windows: the capacity for requests in flight."""
        windows = (replica.window for replica in self.router.replicas.values())
        return sum(place_seconds(window.history, seconds) for window in windows)

    def refusing(self) -> dict[str, str]:
        """What is wrong with each deployment that refuses requests at the end, by name."""
        return {
            replica.name: self.advice(replica.name, replica.reason)
            for replica in self.router.replicas.values()
            if replica.is_refusing and replica.reason is not None
        }

    def report(self) -> list[dict[str, Any]]:
        """What each deployment did, for run.json."""
        return [
            {
                "name": replica.name,
                "model": self.deployments[replica.name].model,
                "requests": replica.requests,
                "captions": replica.captions,
                "errors": {code.value: number for code, number in replica.errors.items()},
                "ejections": replica.ejections,
                "standing": replica.down.value if replica.down else "up",
                "reason": replica.reason.detail if replica.reason else "",
                "window": [list(change) for change in replica.window.history],
            }
            for replica in self.router.replicas.values()
        ]


def _window(deployment: DeploymentConfig, now_s: float) -> AdaptiveWindow | FixedWindow:
    if deployment.adaptive:
        return AdaptiveWindow(deployment.places(), now_s=now_s)
    return FixedWindow(deployment.places(), now_s=now_s)


@asynccontextmanager
async def open_fleet(
    job: JobConfig, tally: Tally, tuning: SenderTuning = _TUNING
) -> AsyncIterator[Fleet]:
    """Read the keys and open one connection pool for all deployments.

    Raises:
        ConfigError: there is no deployment, or a key or an extra_body cannot be used.
    """
    if not job.deployments:
        raise ConfigError("no deployment: give --base-url and --model, or [[deployments]]")
    places = sum(deployment.most_in_flight for deployment in job.deployments)
    connections = places + len(job.deployments)
    async with open_session(connections, max_age_s=tuning.max_age_s) as session:
        waits = {"stall_s": tuning.stall_s, "stream_end_s": tuning.stream_end_s}
        clients = {
            one.name: DeploymentClient(session, one, *job.asked, **waits) for one in job.deployments
        }
        yield Fleet(job.deployments, clients, tally, tuning)
