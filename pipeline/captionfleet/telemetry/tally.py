"""The live counters of one run (main process)."""

from collections import Counter
from dataclasses import dataclass, field

from captionfleet.messages import Usage
from captionfleet.telemetry.clock import monotonic_s

__all__ = ["Tally"]


@dataclass(slots=True)
class Tally:
    """The live counters of one run; every stage counts its own and reads nobody else's.

    `planned_total` is the number of clips once the producer has seen everything, else None.
    `waiting_for` is why nothing moves, for the progress line; empty while things move.
    `confinement` is what holds of the worker processes, None before the first one reported.
    """

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
    started_s: float = field(default_factory=monotonic_s)

    @property
    def settled(self) -> int:
        """Clips of this run that have their line."""
        return self.captioned + self.failed

    def pay(self, usage: Usage) -> None:
        """Count the tokens of an answer, whether or not it brought a caption."""
        self.prompt_tokens += usage.prompt_tokens or 0
        self.completion_tokens += usage.completion_tokens or 0
        self.cached_tokens += usage.cached_tokens or 0

    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return monotonic_s() - self.started_s

    def line(self) -> str:
        """The figures of the progress line, without bar and ETA."""
        seconds = max(self.elapsed_s(), 1e-9)
        parts = [
            f"{self.failed} failed",
            f"{self.preparing} preparing",
            f"{self.in_flight} in flight",
            f"{self.settled / seconds:.2f} clips/s",
            f"{(self.prompt_tokens + self.completion_tokens) / seconds:,.0f} tokens/s",
        ]
        return ", ".join(parts + ([f"waiting: {self.waiting_for}"] if self.waiting_for else []))
