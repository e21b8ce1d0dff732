"""Holds the live counters of one run (main process)."""

from collections import Counter
from dataclasses import dataclass, field

from captionfleet.messages import Clip, MediaFacts, Usage
from captionfleet.telemetry.clock import monotonic_s
from captionfleet.telemetry.outlook import Outlook

__all__ = ["NodeFigures", "Tally"]


@dataclass(slots=True)
class NodeFigures:
    """What one node of a cluster did in a run.

    It prepared `clips`, of which `failed` failed, in `busy_s` of its workers' time and `cpu_s` of
    CPU time. `refused` says why the node gets no clips; empty while it gets them.
    """

    clips: int = 0
    failed: int = 0
    busy_s: float = 0.0
    cpu_s: float = 0.0
    media_bytes: int = 0
    refused: str = ""


@dataclass(slots=True)
class Tally:
    """The live counters of one run; each stage writes only its own.

    Clips count once for each of their requests, except in `preparing` and `prepared`; `unit` names
    what is counted. `planned_total` is the number of clips once the producer has walked all
    sources, else None. `outlook` is counted separately ahead of the run; `expected` combines both.
    `waiting_for` says why the run makes no progress; empty while it makes any.
    `confinement` is the confinement of the worker processes, None until the first reports. `nodes`
    are the cluster nodes that workers run on, by name; empty on a single machine. `lost_with_nodes`
    counts clips that were lost with a node and prepared again.
    """

    unit: str = "clips"
    planned: int = 0
    planned_total: int | None = None
    already_captioned: int = 0
    standing_failures: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)
    preparing: int = 0
    prepared: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    captioned: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    retries: int = 0
    hedges: int = 0
    hedges_won: int = 0
    workers_busy_s: float = 0.0
    in_flight_s: float = 0.0
    waiting_for: str = ""
    confinement: str | None = None
    nodes: dict[str, NodeFigures] = field(default_factory=dict)
    lost_with_nodes: int = 0
    outlook: Outlook = field(default_factory=Outlook)
    prepared_video_s: float = 0.0
    settled_video_s: float = 0.0
    started_s: float = field(default_factory=monotonic_s)

    @property
    def settled(self) -> int:
        """Clips of this run that have their line."""
        return self.captioned + self.failed

    @property
    def expected(self) -> int | None:
        """The number of clips of this run as far as known; None while unknown."""
        if self.planned_total is not None:
            return self.planned_total
        return max(self.planned, self.outlook.clips) or None

    @property
    def is_growing(self) -> bool:
        """Whether more clips than `expected` may be found."""
        return self.planned_total is None and not self.outlook.is_whole

    def prepare(self, clip: Clip, facts: MediaFacts) -> None:
        """Count a clip that is ready to be sent."""
        self.prepared += 1
        self.prepared_video_s += len(clip.requests) * clip.video_s(facts.source_s)
        self.outlook.learn(clip, facts.source_s)

    def settle(self, clip: Clip, facts: MediaFacts | None) -> None:
        """Count a clip that has its line; without `facts`, it failed."""
        self.outlook.settle(clip)
        if facts is None:
            self.failed += 1
            return
        self.captioned += 1
        self.settled_video_s += clip.video_s(facts.source_s)

    def pay(self, usage: Usage) -> None:
        """Count the tokens of an answer, whether or not it brought a caption."""
        self.prompt_tokens += usage.prompt_tokens or 0
        self.completion_tokens += usage.completion_tokens or 0
        self.cached_tokens += usage.cached_tokens or 0

    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return monotonic_s() - self.started_s
