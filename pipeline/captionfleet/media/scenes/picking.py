"""Decides which differences between neighbouring pictures are scene changes; pure (worker)."""

from collections import deque

__all__ = ["ChangePicker"]

# Chosen on 67 pieces of real clips with 66 cuts between them, of which these values find 65; the
# other changes that they report are within pieces. jobs/README.md compares them with
# PySceneDetect's.
_LEAST = 5.0
_TIMES_ITS_NEIGHBOURS = 3.0
_NEIGHBOURS = 4
_NOISE = 0.5  # added to the neighbours' mean, so that grain in a still picture does not count
_APART_S = 0.5  # a shorter scene has no second of its own


class ChangePicker:
    """Takes the difference of each picture to its predecessor, and picks the outliers.

    A difference is the mean distance of colours, 0 to 100. A change exceeds each of the four
    differences before and after it, and three times their mean: a moving camera gives many large
    differences. Of two changes within half a second the larger one counts.
    """

    def __init__(self) -> None:
        self.changes_s: list[float] = []
        self._seen: deque[tuple[float, float]] = deque(maxlen=2 * _NEIGHBOURS + 1)
        self._ahead = 0
        self._latest = 0.0

    def see(self, at_s: float, difference: float) -> None:
        """Take the next picture, in presentation order."""
        self._seen.append((at_s, difference))
        self._ahead += 1
        if self._ahead > _NEIGHBOURS:
            self._ahead -= 1
            self._judge(len(self._seen) - 1 - _NEIGHBOURS)

    def finish(self) -> None:
        """End the film: decide on the pictures held back."""
        for place in range(max(0, len(self._seen) - self._ahead), len(self._seen)):
            self._judge(place)
        self._ahead = 0

    def _judge(self, place: int) -> None:
        at_s, difference = self._seen[place]
        if difference < _LEAST or at_s <= 0:
            return
        begin = max(0, place - _NEIGHBOURS)
        around = [
            one
            for number, (_, one) in enumerate(self._seen)
            if number != place and begin <= number <= place + _NEIGHBOURS
        ]
        mean = sum(around) / max(len(around), 1)
        stands_out = difference >= max(around, default=0.0)
        if not stands_out or difference < _TIMES_ITS_NEIGHBOURS * (mean + _NOISE):
            return
        if self.changes_s and at_s - self.changes_s[-1] < _APART_S:
            if difference <= self._latest:
                return
            self.changes_s.pop()
        self.changes_s.append(at_s)
        self._latest = difference
