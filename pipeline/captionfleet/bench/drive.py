"""Puts a deployment under load, and records a sample of every request (main process).

Requests go through the same client as in a run, without retries: a refusal is a sample, too.
"""

import math
import random
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, cycle
from statistics import median

import anyio
from anyio.abc import TaskGroup

from captionfleet.bench.figures.point import ClientUse, Goal, Point, measure
from captionfleet.bench.figures.samples import Sample
from captionfleet.bench.figures.steady import Window, ended_per_s, is_queue_growing, steady_window
from captionfleet.bench.gauge import Gauge
from captionfleet.errors import FailureCode
from captionfleet.measures import Percentiles
from captionfleet.messages import ReadyClip
from captionfleet.sender.chat.answers import Answer
from captionfleet.sender.client import DeploymentClient, Reply
from captionfleet.telemetry import monotonic_s

__all__ = ["Load", "Rules", "put_under_load", "ramp_after"]

_LOOK_EVERY_S = 0.25
_LAG_EVERY_S = 0.02
_AFTER_ERROR_S = 0.25
# A burst of refusals may last only a moment, so time has to pass as well.
_HOPELESS_SHARE, _HOPELESS_REQUESTS, _HOPELESS_S = 0.5, 40, 3.0
_LONGEST_REQUESTS = 8
_WAVES = 3  # requests for each place, for a rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A load: either a number of requests kept in flight, or a rate of arrivals.

    Attributes:
        ramp_s: Seconds over which the first requests are spread, to avoid waves.
    """

    in_flight: int | None = None
    arrivals_per_s: float | None = None
    ramp_s: float = 0.5

    def __str__(self) -> str:
        if self.in_flight is not None:
            return f"{self.in_flight} in flight"
        return f"{self.arrivals_per_s or 0:.3g}/s arriving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How long each load is measured.

    Attributes:
        seconds: Least number of steady seconds.
        requests: Least number of requests in them.
        longest_s: A load ends after these seconds, or the time of eight requests, even if it is
            not steady.
        ceiling: Most requests in flight; further arrivals are not sent.
    """

    seconds: float = 15.0
    requests: int = 30
    longest_s: float = 120.0
    ceiling: int = 256
    goal: Goal = field(default_factory=Goal)
    seed: int = 0


async def put_under_load(
    client: DeploymentClient,
    clips: Sequence[ReadyClip],
    load: Load,
    rules: Rules,
    gauge: Gauge,
) -> Point:
    """Load a deployment until its rate is steady for long enough; then let requests finish."""
    run = _Run(client, clips, load, rules)
    gauge.begin(str(load), run.wanted, rules.seconds, run.samples)
    begun_s, cpu_s = monotonic_s(), time.process_time()
    async with anyio.create_task_group() as watch:
        watch.start_soon(run.watch_loop)
        async with anyio.create_task_group() as requests:
            run.begin(requests)
            await run.until_enough(begun_s)
            to_s = monotonic_s()
            cores = (time.process_time() - cpu_s) / (to_s - begun_s)
            run.stop()
        watch.cancel_scope.cancel()
    return measure(
        run.samples,
        run.window(run.samples, to_s),
        run.client_use(cores),
        begun_s=begun_s,
        in_flight=load.in_flight,
        arrivals_per_s=load.arrivals_per_s,
        goal=rules.goal,
        unsent=run.unsent,
        per_clip=len({one.request for one in clips}),
    )


class _Run:
    def __init__(
        self, client: DeploymentClient, clips: Sequence[ReadyClip], load: Load, rules: Rules
    ) -> None:
        self.samples: list[Sample] = []
        self.unsent = 0
        self._client = client
        self._load = load
        self._rules = rules
        self._rng = random.Random(f"{rules.seed} {load}")  # noqa: S311 - repeatable, no secret
        order = list(clips)
        self._rng.shuffle(order)
        self._clips: Iterator[ReadyClip] = cycle(order)
        self._numbers = count(1)
        self._stopped = anyio.Event()
        self._lags = array("d")
        self._out: dict[int, float] = {}  # when the requests in flight were started

    @property
    def wanted(self) -> int:
        """The least number of requests for a result."""
        return max(self._rules.requests, _WAVES * (self._load.in_flight or 0), 1)

    def window(self, samples: Sequence[Sample], to_s: float) -> Window:
        """The part of the load that counts; not steady if its queue grows."""
        if self._load.in_flight is not None:
            return steady_window(samples, ramp=self._load.in_flight, to_s=to_s)
        window = steady_window(samples, ramp=0, to_s=to_s, rate=ended_per_s)
        is_steady = window.is_steady and not is_queue_growing(samples, window)
        return replace(window, is_steady=is_steady)

    def begin(self, tasks: TaskGroup) -> None:
        """Start the requests, which go on until `stop`."""
        if self._load.in_flight is None:
            tasks.start_soon(self._arrive, tasks)
            return
        for lane in range(self._load.in_flight):
            tasks.start_soon(self._keep_asking, lane * self._load.ramp_s / self._load.in_flight)

    def stop(self) -> None:
        """Start no further requests."""
        self._stopped.set()

    async def until_enough(self, begun_s: float) -> None:
        """Wait until the samples suffice for a result, or cannot."""
        rules = self._rules
        looked_s = begun_s
        longest_s = max(rules.longest_s, _LONGEST_REQUESTS * self._load.ramp_s)
        while (now_s := monotonic_s()) < begun_s + longest_s:
            await anyio.sleep(_LOOK_EVERY_S)
            if now_s - begun_s >= _HOPELESS_S and self._is_hopeless():
                return
            enough = now_s - begun_s >= rules.seconds and len(self.samples) >= self.wanted
            if not enough or now_s < looked_s + rules.seconds / 8:
                continue
            looked_s = now_s
            window = self.window(self._with_those_out(now_s), now_s)
            if window.is_steady and window.seconds >= rules.seconds:
                return

    async def watch_loop(self) -> None:
        """Measure how late the event loop wakes up; runs until cancelled."""
        while True:
            asked_s = monotonic_s()
            await anyio.sleep(_LAG_EVERY_S)
            self._lags.append(max(monotonic_s() - asked_s - _LAG_EVERY_S, 0.0))

    def client_use(self, cores: float) -> ClientUse:
        """The resources that measuring took."""
        lag = Percentiles.of(self._lags)
        return ClientUse(
            cores=cores,
            loop_lag_p50_s=lag.p50 if lag else 0.0,
            loop_lag_p99_s=lag.p99 if lag else 0.0,
        )

    def _with_those_out(self, now_s: float) -> list[Sample]:
        """The samples, with requests in flight counted as if they took as long as others.

        Without them the latest seconds would seem slow, the more so the longer requests take.
        """
        typical_s = median(one.request_s for one in self.samples)
        out = (
            Sample(started_s=begun_s, ended_s=max(begun_s + typical_s, now_s))
            for begun_s in self._out.values()
        )
        return [*self.samples, *out]

    def _is_hopeless(self) -> bool:
        errors = sum(one.code is not None for one in self.samples)
        return errors >= _HOPELESS_REQUESTS and errors > _HOPELESS_SHARE * len(self.samples)

    async def _keep_asking(self, wait_s: float) -> None:
        await self._pause(wait_s)
        while not self._stopped.is_set():
            if await self._ask() is not None:
                await self._pause(_AFTER_ERROR_S)

    async def _arrive(self, tasks: TaskGroup) -> None:
        """Start requests as a Poisson process, whether or not earlier ones were answered."""
        rate, due_s = self._load.arrivals_per_s or 1.0, monotonic_s()
        while not self._stopped.is_set():
            due_s += self._rng.expovariate(rate)
            await self._pause(due_s - monotonic_s())
            if self._stopped.is_set():
                return
            if len(self._out) < self._rules.ceiling:
                tasks.start_soon(self._ask)
            else:
                self.unsent += 1

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(max(seconds, 0.0)):
            await self._stopped.wait()

    async def _ask(self) -> FailureCode | None:
        ready, number = next(self._clips), next(self._numbers)
        self._out[number] = monotonic_s()
        try:
            reply = await self._client.ask(ready, f"bench-{self._rules.seed}-{number}")
        finally:
            del self._out[number]
        sample = _sample(ready, reply)
        self.samples.append(sample)
        return sample.code


def _sample(ready: ReadyClip, reply: Reply) -> Sample:
    outcome = reply.outcome
    if not isinstance(outcome, Answer):
        return Sample(started_s=reply.started_s, ended_s=reply.ended_s, code=outcome.code)
    usage, facts, clip = outcome.usage, ready.facts, ready.clip
    host = outcome.server.get("backend-host")
    return Sample(
        started_s=reply.started_s,
        ended_s=reply.ended_s,
        ttft_s=outcome.ttft_s,
        upload_s=reply.upload_s,
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        cached_tokens=usage.cached_tokens or 0,
        clip_s=max(0.0, min(clip.end_s, facts.source_s) - clip.start_s),
        payload_bytes=facts.payload_bytes,
        replica=host if isinstance(host, str) else None,
    )


def ramp_after(point: Point | None) -> float:
    """Seconds over which to spread the next load's first requests: one request's time."""
    request_s = point.request_s if point else None
    return 0.5 if request_s is None or not math.isfinite(request_s.p50) else request_s.p50
