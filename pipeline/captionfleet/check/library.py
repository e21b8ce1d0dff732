"""Defines what a check knows of the sources: counts, and the clips of a sample (main process)."""

import sys
from collections import Counter
from dataclasses import dataclass, field

from captionfleet.errors import FailureCode
from captionfleet.messages import Source
from captionfleet.producer.sample import Drawing

__all__ = ["ClipShape", "Library"]


@dataclass(frozen=True, slots=True)
class ClipShape:
    """The size of a clip once prepared, and how many seconds of its source it covers.

    `requests` are the names of what is still to be asked of it.
    """

    seconds: float
    frames: int
    width: int
    height: int
    audio_s: float
    requests: tuple[str, ...] = ("",)


@dataclass(slots=True)
class Library:
    """What the sources hold; `shapes`, `source_s` and `failing` describe only the sample.

    `to_do` counts the files that a run would still process, `settled` those that are captioned or
    failed permanently. `counted` is the number of clips to do, if they were counted one by one;
    with `is_guess`, films were cut as if they had no scenes. `unaskable` counts, by reason, the
    requests that cannot be filled in for rows.

    With a `limit` of clips, only files are drawn that a run would come to: `waiting` counts those
    after them, and `spent` the clips within the limit that fail without being asked about.
    """

    drawing: Drawing = field(default_factory=lambda: Drawing(0))
    files: int = 0
    settled: int = 0
    size_bytes: int = 0
    unusable: Counter[FailureCode] = field(default_factory=Counter)
    shapes: list[ClipShape] = field(default_factory=list)
    source_s: float = 0.0
    failing: dict[FailureCode, list[Source]] = field(default_factory=dict)
    counted: int | None = None
    is_guess: bool = False
    unaskable: Counter[str] = field(default_factory=Counter)
    limit: int | None = None
    waiting: int = 0
    spent: int = 0
    drawn_clips: int = 0

    def show(self, source: Source, clips: int) -> None:
        """Offer the next file to the sample, if the limit leaves room for a clip of it."""
        if self._room() == 0:
            self.waiting += 1
            return
        self.drawn_clips += clips
        self.drawing.show(source)

    def spend(self, clips: int) -> None:
        """Count clips that fail without being asked about: they, too, count for the limit."""
        self.spent += min(clips, self._room())

    def _room(self) -> int:
        if self.limit is None:
            return sys.maxsize
        return max(0, self.limit - self.spent - self.drawn_clips)

    @property
    def to_do(self) -> int:
        """How many files a run would still process."""
        return max(round(self.drawing.seen * self.share), min(self.drawing.seen, 1))

    @property
    def clips(self) -> int:
        """About how many clips a run would still make of them."""
        if self.counted is not None:
            return self.counted
        drawn = self.drawing.seen * len(self.shapes) / max(len(self.sample), 1)
        return round(drawn * self.share)

    @property
    def share(self) -> float:
        """The share of the clips in the drawn files for which the limit has room.

        Only headers say how many windows a film has, so a run may not get to all of them.
        """
        if self.limit is None or not self.sample:
            return 1.0
        clips = len(self.shapes) + sum(map(len, self.failing.values()))
        drawn = self.drawing.seen * clips / len(self.sample)
        return min(1.0, (self.limit - self.spent) / drawn) if drawn else 1.0

    @property
    def is_limited(self) -> bool:
        """Whether the limit leaves clips for later runs."""
        return self.waiting > 0 or self.share < 1

    @property
    def sample(self) -> list[Source]:
        """The files whose headers are read."""
        return self.drawing.drawn

    @property
    def is_sampled(self) -> bool:
        """Whether the sample leaves files out."""
        return self.drawing.is_partial
