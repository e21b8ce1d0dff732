"""Models a deployment: slots, a queue, a latency curve, and scheduled faults; pure (main process).

Part of the simulator. The curve gives the time of a request by the number of requests in service
when it starts.
"""

import math
import random
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from captionfleet.errors import FailureCode
from captionfleet.sender.routing.policy import Past
from captionfleet.sender.routing.replicas import Lease
from captionfleet.sender.routing.verdict import Verdict, classify, judge

__all__ = ["DeploymentModel", "Phase", "Request", "Server", "SimulatedClip", "Standing"]

_REFUSED_S = 0.02  # seconds until an answer that needs no inference

_LOST = judge(FailureCode.DISCONNECTED, "the deployment went down")
_ABSENT = judge(FailureCode.CONNECT_FAILED, "the deployment is down")
_LATE = judge(FailureCode.TIMEOUT, "no answer in time")
_SCALING_UP = classify(503, "DEPLOYMENT_SCALING_UP", {})
_SATURATED = classify(429, None, {})


class Standing(StrEnum):
    """Whether and how a deployment answers."""

    UP = "up"
    DOWN = "down"
    """Refuses connections; requests in flight when it goes down are lost."""
    HUNG = "hung"
    """Accepts connections and never answers."""
    SCALING_UP = "scaling up"
    """Answers 503 DEPLOYMENT_SCALING_UP at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A deployment's behaviour from `from_s` until its next phase.

    Attributes:
        from_s: Seconds since the start of the run.
        slots: Requests served at a time.
        max_queue: Requests that can wait for a slot; further ones get a 429.
        curve: Points (requests in service, seconds of one), rising; linear between the points,
            constant before the first and after the last.
        spread: Sigma of the log-normal factor, of mean 1, by which a service time varies.
        reports_queue: Whether answers report the time spent in the queue.
        error_share: Share of the requests that get one of `errors` at once.
    """

    from_s: float = 0.0
    standing: Standing = Standing.UP
    slots: int = 16
    max_queue: int = 64
    curve: tuple[tuple[int, float], ...] = ((1, 1.0),)
    spread: float = 0.0
    reports_queue: bool = False
    error_share: float = 0.0
    errors: tuple[Verdict, ...] = ()

    def service_s(self, served: int) -> float:
        """The service time with this many requests in service, without variation."""
        right = bisect_left(self.curve, (served, -math.inf))
        if right in {0, len(self.curve)}:
            return self.curve[min(right, len(self.curve) - 1)][1]
        (few, short_s), (many, long_s) = self.curve[right - 1], self.curve[right]
        return short_s + (long_s - short_s) * (served - few) / (many - few)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentModel:
    """A deployment of the job, and its phases."""

    name: str
    phases: tuple[Phase, ...] = (Phase(),)
    max_in_flight: int = 64
    adaptive: bool = True


@dataclass(slots=True, eq=False)
class SimulatedClip:
    """One clip in a simulated run."""

    number: int
    ready_s: float
    past: Past = Past()  # noqa: RUF009 - frozen

    @property
    def avoid(self) -> str | None:
        """The deployment where it failed last."""
        return self.past.avoid


@dataclass(slots=True, eq=False)
class Request:
    """One request; its end can be scheduled more than once, and the first one counts."""

    clip: SimulatedClip
    lease: Lease
    started_s: float
    served_s: float = math.nan
    is_queued: bool = False
    is_served: bool = False
    is_over: bool = False


Schedule = Callable[[float, Request, Verdict | None], None]
CallAt = Callable[[float, Callable[[float], None], float], None]


@dataclass(slots=True, eq=False)
class Server:
    """The behaviour of a deployment: schedules the ends of requests, without looking ahead.

    `busy_s` and `offered_s` are the slot seconds used and available until the last change.
    """

    model: DeploymentModel
    rng: random.Random
    schedule: Schedule
    call_at: CallAt
    timeout_s: float
    phase: Phase = field(init=False)
    busy: int = 0
    queued: int = 0
    busy_s: float = 0.0
    offered_s: float = 0.0
    _counted_to_s: float = 0.0
    _queue: deque[Request] = field(default_factory=deque)
    _is_watched: bool = False
    _open: dict[Request, None] = field(default_factory=dict)  # ordered, so that runs repeat exactly

    def __post_init__(self) -> None:
        self.phase = self.model.phases[0]

    def enter(self, phase: Phase, now_s: float) -> None:
        """Start a phase."""
        self.count(now_s)
        self.phase = phase
        if phase.standing is Standing.DOWN:
            for request in self._open:
                self.schedule(now_s, request, _LOST)
        self._serve_queue(now_s)

    def arrive(self, request: Request, now_s: float) -> None:
        """Take a request and schedule its end."""
        phase, rng = self.phase, self.rng
        self._open[request] = None
        if phase.standing is not Standing.UP:
            self._turn_away(request, now_s)
        elif phase.error_share and rng.random() < phase.error_share:
            self.schedule(now_s + _REFUSED_S, request, rng.choice(phase.errors))
        elif self.busy < phase.slots:
            self._serve(request, now_s)
        elif self.queued < phase.max_queue:
            request.is_queued = True
            self.queued += 1
            self._queue.append(request)
            self._watch_queue()
        else:
            self.schedule(now_s + _REFUSED_S, request, _SATURATED)

    def leave(self, request: Request, now_s: float) -> None:
        """Remove a request that ended, with or without an answer."""
        self._open.pop(request, None)
        if request.is_queued:
            request.is_queued = False
            self.queued -= 1
        if request.is_served:
            self.count(now_s)
            request.is_served = False
            self.busy -= 1
            self._serve_queue(now_s)

    def _turn_away(self, request: Request, now_s: float) -> None:
        match self.phase.standing:
            case Standing.DOWN:
                self.schedule(now_s + _REFUSED_S, request, _ABSENT)
            case Standing.SCALING_UP:
                self.schedule(now_s + _REFUSED_S, request, _SCALING_UP)
            case _:
                self.schedule(now_s + self.timeout_s, request, _LATE)

    def _serve(self, request: Request, now_s: float) -> None:
        self.count(now_s)
        self.busy += 1
        request.is_served, request.served_s = True, now_s
        phase = self.phase
        service_s = phase.service_s(self.busy)
        if phase.spread:
            service_s *= self.rng.lognormvariate(-(phase.spread**2) / 2, phase.spread)
        late_s = request.started_s + self.timeout_s
        if now_s + service_s <= late_s:
            self.schedule(now_s + service_s, request, None)
        else:
            self.schedule(late_s, request, _LATE)

    def _serve_queue(self, now_s: float) -> None:
        if self.phase.standing is not Standing.UP:
            return
        while self._queue and self.busy < self.phase.slots:
            request = self._queue.popleft()
            if request.is_queued:
                request.is_queued = False
                self.queued -= 1
                self._serve(request, now_s)

    def _watch_queue(self) -> None:
        """Schedule the time at which the request that waits longest is late.

        One event stands for the whole queue: nearly all of its requests are served in time, and an
        event for each would stay, with clip and all, until its time comes.
        """
        if self._queue and not self._is_watched:
            self._is_watched = True
            late_s = self._queue[0].started_s + self.timeout_s
            self.call_at(late_s, self._end_late, late_s)

    def _end_late(self, now_s: float) -> None:
        self._is_watched = False
        queue = self._queue
        while queue and (not queue[0].is_queued or queue[0].started_s + self.timeout_s <= now_s):
            if (request := queue.popleft()).is_queued:
                self.schedule(now_s, request, _LATE)
        self._watch_queue()

    def count(self, now_s: float) -> None:
        """Update `busy_s` and `offered_s`."""
        passed_s = now_s - self._counted_to_s
        self._counted_to_s = now_s
        self.busy_s += self.busy * passed_s
        if self.phase.standing is Standing.UP:
            self.offered_s += self.phase.slots * passed_s
