"""Estimates how many clips and seconds of video a run has left; pure (main process)."""

import math
from collections import Counter
from dataclasses import dataclass, field

from captionfleet.messages import Clip

__all__ = ["Outlook"]

_PER_OCTAVE = 4  # sizes within 19 % of each other share a class
_KNOWN = -1  # in place of a size: the seconds are the clip's, not its window's


@dataclass(slots=True)
class Outlook:
    """The clips of a run, counted from its sources, and an estimate of their seconds of video.

    A file's length is unknown until it is opened. It is estimated from its size by the mean bytes
    per second of the files opened so far, and at most the clip's window counts. Memory does not
    grow with the number of clips: they are counted by size class, or by whole seconds where an
    earlier run measured the film.

    `clips` is the number counted; `is_whole` is true once all sources are counted.
    """

    clips: int = 0
    is_whole: bool = False
    _left: Counter[tuple[int, float]] = field(default_factory=Counter)
    _known_bytes: float = 0.0
    _known_s: float = 0.0

    def expect(self, clip: Clip) -> None:
        """Count a clip that needs a caption."""
        self.clips += 1
        self._left[_kind(clip)] += 1

    def settle(self, clip: Clip) -> None:
        """Remove a clip whose line is written; it may come before the clip is counted."""
        self._left[_kind(clip)] -= 1

    def learn(self, clip: Clip, source_s: float) -> None:
        """Learn the length of a file that was opened."""
        if math.isfinite(source_s) and source_s > 0:
            self._known_bytes += clip.source.size_bytes
            self._known_s += source_s

    def left_s(self) -> float:
        """Estimated seconds of video without a line."""
        rate = self._known_bytes / self._known_s if self._known_s else 0.0
        return sum(
            number * (min(window_s, _size(size) / rate) if rate and size != _KNOWN else window_s)
            for (size, window_s), number in self._left.items()
            if number > 0
        )


def _kind(clip: Clip) -> tuple[int, float]:
    if clip.film.seconds > 0:
        return _KNOWN, round(clip.video_s(clip.film.seconds))
    size = max(clip.source.size_bytes, 1)
    return round(math.log2(size) * _PER_OCTAVE), clip.end_s - clip.start_s


def _size(kind: int) -> float:
    return float(2 ** (kind / _PER_OCTAVE))
