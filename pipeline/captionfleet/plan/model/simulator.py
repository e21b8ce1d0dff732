"""Simulates the sender on a virtual clock, with the real router and retries; pure (main process).

It predicts a run before anything is paid, and property tests use it to try thousands of faults. It
models neither bytes nor the cores that move them.
"""

import heapq
import math
import random
from array import array
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from captionfleet.errors import FailureCode
from captionfleet.plan.model.server_model import DeploymentModel, Request, Server, SimulatedClip
from captionfleet.sender.routing.limits import AdaptiveWindow, FixedWindow
from captionfleet.sender.routing.policy import RetryPolicy, hand_out, lanes
from captionfleet.sender.routing.replicas import Replica
from captionfleet.sender.routing.router import Router
from captionfleet.sender.routing.verdict import Verdict

__all__ = ["DeploymentUse", "Scenario", "Simulated", "Simulator", "simulate"]

_READY_AHEAD = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What to simulate.

    Attributes:
        clips: How many clips are to be captioned.
        supply_per_s: Clips per second that workers prepare; None: all are ready at the start.
    """

    deployments: tuple[DeploymentModel, ...]
    clips: int
    supply_per_s: float | None = None
    timeout_s: float = 300.0
    max_attempts: int = 5
    patience_s: float = 1800.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentUse:
    """What one deployment did; `utilisation` is the share of its slot time that was used."""

    name: str
    requests: int
    captions: int
    ejections: int
    utilisation: float
    window: tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """The result; times in seconds from the start.

    Attributes:
        ends: How often each clip ended: once, or 0 if the run was given up before.
        captions_s: When each caption came, in order.
        refusals_s: When each 429 or 503 came, in order.
        waits_s: Seconds from ready to the attempt that was answered, in the order of `captions_s`.
        supply_busy: Share of the time in which the workers had to work; nan without a rate.
    """

    seconds: float
    captioned: int
    failed: Counter[FailureCode]
    attempts: int
    ends: bytearray = field(repr=False)
    captions_s: "array[float]" = field(repr=False)
    refusals_s: "array[float]" = field(repr=False)
    waits_s: "array[float]" = field(repr=False)
    supply_busy: float
    deployments: tuple[DeploymentUse, ...]

    @property
    def unfinished(self) -> int:
        """Clips without an outcome because no deployment was left."""
        return self.ends.count(0)

    def captions_per_s(self, from_s: float = 0.0, to_s: float = math.inf) -> float:
        """Captions per second between two times, until the end of the run at most."""
        to_s = min(to_s, self.seconds)
        number = sum(from_s < time_s <= to_s for time_s in self.captions_s)
        return number / (to_s - from_s) if to_s > from_s else 0.0

    def refused_share(self, from_s: float = 0.0) -> float:
        """The share of refusals among captions and refusals since `from_s`."""
        refused = sum(time_s > from_s for time_s in self.refusals_s)
        captioned = sum(time_s > from_s for time_s in self.captions_s)
        return refused / max(refused + captioned, 1)


class Simulator:
    """One run, event by event."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.now_s = 0.0
        self.router = Router([_replica(model) for model in scenario.deployments])
        self.line: deque[SimulatedClip] = deque()
        self.failed: Counter[FailureCode] = Counter()
        self.ends = bytearray(scenario.clips)
        self._rng = random.Random(scenario.seed)  # noqa: S311 - repeatable, guards nothing
        self._policy = RetryPolicy(scenario.max_attempts, self.router)
        self._supply = _Supply(scenario.clips, scenario.supply_per_s)
        self._servers = {
            model.name: Server(model, self._rng, self._schedule, self._at, scenario.timeout_s)
            for model in scenario.deployments
        }
        self._free_lanes = lanes(sum(model.max_in_flight for model in scenario.deployments))
        self._begun = self._ended = 0
        self._captions_s, self._refusals_s, self._waits_s = array("d"), array("d"), array("d")
        self._serials = count()
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._wake_s = math.inf
        for server in self._servers.values():
            for phase in server.model.phases:
                self._at(phase.from_s, server.enter, phase, phase.from_s)
        self._go_on()

    @property
    def is_over(self) -> bool:
        """Whether every clip has ended, or no deployment will come back."""
        return self._ended == self.scenario.clips or self.router.is_hopeless(
            self.now_s, patience_s=self.scenario.patience_s
        )

    def step(self) -> None:
        """Process the next event and its immediate consequences."""
        self.now_s, _, happen, arguments = heapq.heappop(self._events)
        happen(*arguments)
        self._go_on()

    def result(self) -> Simulated:
        """The result so far."""
        return Simulated(
            seconds=self.now_s,
            captioned=len(self._captions_s),
            failed=self.failed,
            attempts=sum(replica.requests for replica in self.router.replicas.values()),
            ends=self.ends,
            captions_s=self._captions_s,
            refusals_s=self._refusals_s,
            waits_s=self._waits_s,
            supply_busy=self._supply.busy_share(self.now_s),
            deployments=tuple(map(self._use, self.router.replicas.values())),
        )

    def _go_on(self) -> None:
        """Take clips while lanes are free, and send while deployments have places."""
        now_s, line = self.now_s, self.line
        while self._free_lanes and (ready_s := self._supply.take(now_s)) is not None:
            line.append(SimulatedClip(self._begun, ready_s))
            self._begun += 1
            self._free_lanes -= 1
        for clip, lease in hand_out(line, self.router, now_s):
            self._servers[lease.deployment].arrive(Request(clip, lease, now_s), now_s)
        self._plan_to_wake()

    def _plan_to_wake(self) -> None:
        """Schedule the next change that no request's end causes."""
        router = self.router
        down_s, wake_s = router.down_since_s, self._wake_s
        for time_s in (
            self._supply.next_s() if self._free_lanes else None,
            router.next_due_s() if self.line else None,
            None if down_s is None else down_s + self.scenario.patience_s,
        ):
            if time_s is not None and self.now_s < time_s < wake_s:
                wake_s = time_s
        if wake_s < self._wake_s:
            self._wake_s = wake_s
            self._at(wake_s, self._wake)

    def _wake(self) -> None:
        self._wake_s = math.inf

    def _at(self, time_s: float, happen: Callable[..., None], *arguments: object) -> None:
        heapq.heappush(self._events, (time_s, next(self._serials), happen, arguments))

    def _schedule(self, time_s: float, request: Request, verdict: Verdict | None) -> None:
        self._at(time_s, self._end, request, verdict)

    def _end(self, request: Request, verdict: Verdict | None) -> None:
        if request.is_over:
            return
        request.is_over = True
        server = self._servers[request.lease.deployment]
        server.leave(request, self.now_s)
        if verdict is None:
            self._captioned(request, reports_queue=server.phase.reports_queue)
        else:
            self._failed(request, verdict)

    def _captioned(self, request: Request, *, reports_queue: bool) -> None:
        queue_s = request.served_s - request.started_s if reports_queue else None
        self.router.succeed(request.lease, now_s=self.now_s, queue_s=queue_s)
        self._policy.captioned()
        self._captions_s.append(self.now_s)
        self._waits_s.append(request.started_s - request.clip.ready_s)
        self._settle(request.clip)

    def _failed(self, request: Request, verdict: Verdict) -> None:
        clip, lease, draw = request.clip, request.lease, self._rng.random
        if verdict.code is FailureCode.OVERLOADED:
            self._refusals_s.append(self.now_s)
        self.router.fail(lease, verdict, now_s=self.now_s, jitter=draw())
        again = self._policy.failed(lease, verdict, clip.past, jitter=draw())
        if again is None:
            self.failed[verdict.code] += 1
            self._settle(clip)
            return
        clip.past = again.past
        self._at(self.now_s + again.wait_s, self.line.append, clip)

    def _settle(self, clip: SimulatedClip) -> None:
        self.ends[clip.number] += 1
        self._ended += 1
        self._free_lanes += 1

    def _use(self, replica: Replica) -> DeploymentUse:
        server = self._servers[replica.name]
        server.count(self.now_s)
        return DeploymentUse(
            name=replica.name,
            requests=replica.requests,
            captions=replica.captions,
            ejections=replica.ejections,
            utilisation=server.busy_s / server.offered_s if server.offered_s else 0.0,
            window=replica.window.history,
        )


class _Supply:
    """The workers: clips become ready at a rate, and wait until they are taken."""

    def __init__(self, clips: int, per_s: float | None) -> None:
        self._every_s = 0.0 if per_s is None else 1 / per_s
        self._left = clips
        self._busy_s = 0.0
        self._ready: deque[float] = deque()
        self._next_s = self._every_s

    def take(self, now_s: float) -> float | None:
        """When the clip taken now became ready; None if there is none."""
        if not self._every_s:
            self._left -= 1
            return 0.0 if self._left >= 0 else None
        while self._left and self._next_s <= now_s and len(self._ready) < _READY_AHEAD:
            self._prepare(self._next_s)
        if not self._ready:
            return None
        self._next_s = max(self._next_s, now_s)  # a finished clip blocked the worker
        return self._ready.popleft()

    def next_s(self) -> float | None:
        """When the next clip will be ready."""
        return self._next_s if self._every_s and self._left else None

    def busy_share(self, now_s: float) -> float:
        """Share of the time in which the workers had to work; nan without a rate."""
        return min(self._busy_s / now_s, 1.0) if self._every_s and now_s else math.nan

    def _prepare(self, ready_s: float) -> None:
        self._ready.append(ready_s)
        self._left -= 1
        self._busy_s += self._every_s
        self._next_s += self._every_s


def _replica(model: DeploymentModel) -> Replica:
    if model.adaptive:
        return Replica(model.name, AdaptiveWindow(model.max_in_flight, now_s=0.0))
    return Replica(model.name, FixedWindow(model.max_in_flight))


def simulate(scenario: Scenario) -> Simulated:
    """Run a scenario to its end."""
    simulator = Simulator(scenario)
    while not simulator.is_over:
        simulator.step()
    return simulator.result()
