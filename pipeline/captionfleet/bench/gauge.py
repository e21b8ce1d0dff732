"""Tracks what a bench is doing, for its progress display (main process)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from captionfleet import text
from captionfleet.bench.figures.samples import Sample
from captionfleet.telemetry import Picture, Tally, monotonic_s, rate_in_words

__all__ = ["Gauge"]


@dataclass(slots=True)
class Gauge:
    """The current step: preparing clips, or measuring a load.

    Attributes:
        clips: The number of clips to prepare.
        tally: Counts prepared clips.
        deployment: The deployment being measured.
        load: The load in words, empty while clips are prepared.
        wanted: Least requests of the load.
        seconds: Its least seconds.
        samples: Its requests that have ended.
    """

    clips: int = 0
    tally: Tally = field(default_factory=Tally)
    deployment: str = ""
    load: str = ""
    wanted: int = 0
    seconds: float = 0.0
    samples: Sequence[Sample] = ()
    begun_s: float = 0.0

    def begin(self, load: str, wanted: int, seconds: float, samples: Sequence[Sample]) -> None:
        """Start a load."""
        self.load, self.wanted, self.seconds, self.samples = load, wanted, seconds, samples
        self.begun_s = monotonic_s()

    def look(self) -> Picture:
        """The state to show."""
        return self._load(monotonic_s() - self.begun_s) if self.load else self._preparing()

    def _preparing(self) -> Picture:
        ready = self.tally.prepared + self.tally.failed
        return Picture(done=ready, total=self.clips or None, facts=("preparing the clips to send",))

    def _load(self, elapsed_s: float) -> Picture:
        """A load lasts until its rate is steady: `wanted` and `seconds` are the least of it."""
        done = len(self.samples)
        errors = sum(one.code is not None for one in self.samples)
        left_s = self.seconds - elapsed_s
        is_enough = left_s <= 0 and done >= self.wanted
        facts = (
            f"{self.deployment}: {self.load}",
            f"{errors:,} error{'' if errors == 1 else 's'}",
            "until the rate is steady" if is_enough else "",
        )
        return Picture(
            done=done,
            total=max(self.wanted, done),
            unit="requests",
            is_growing=True,
            rate=rate_in_words(done / elapsed_s if elapsed_s > 0 else None),
            left=f"{text.rough(left_s)} or more" if left_s > 0 else "",
            facts=tuple(filter(None, facts)),
        )
