"""How a window climbs at first: a place more with every caption, judged by rounds (main; pure)."""

from dataclasses import dataclass

__all__ = ["Climb"]

_MEASURED = 12  # captions that make a round, at least
_RISES = 1.15  # least gain in rate that a window half as large again must bring; doubled is ideal
_JUDGED = 1.5  # growth of the window between two judgements
_LOOKS = 2  # rounds without a gain that end the climb: one may be chance
_IDLE = 0.2  # part of a round's captions that found places free, so that it says nothing


@dataclass(slots=True)
class Climb:
    """One climb; a round is as many captions as the window had places at its start.

    A round takes about one service time, in which a window that gains a place with every caption
    doubles, as TCP's slow start does. It is measured meanwhile whether the rate follows, which is
    all that a server that queues shows of its end. One that refuses says so itself.

    Attributes:
        size: The window at the round's start.
        good: The largest window that brought a gain.
    """

    size: int
    since_s: float
    good: int = 1
    _good_rate: float = 0.0
    _judged: int = 0
    _misses: int = 0
    _captions: int = 0
    _idle: int = 0
    _requests_s: float = 0.0

    def may_grow(self, size: int) -> bool:
        """Whether the window may have another place in this round."""
        return size < 2 * self.size

    def restart(self, size: int, now_s: float) -> None:
        """Begin another round with this window."""
        self.size, self.since_s = size, now_s
        self._captions = self._idle = 0
        self._requests_s = 0.0

    def count(self, now_s: float, *, started_s: float, is_full: bool) -> bool:
        """Count a caption; whether the round is over with it."""
        self._captions += 1
        self._idle += not is_full
        self._requests_s += now_s - started_s
        return self._captions >= max(self.size, _MEASURED)

    def is_over(self, now_s: float) -> bool:
        """Judge the round that has ended: whether a larger window brings no more."""
        if self._idle > _IDLE * self._captions or self.size < _JUDGED * self._judged:
            return False
        rate = self._rate(now_s)
        self._judged = self.size
        if rate >= _RISES * self._good_rate:
            self.good, self._good_rate, self._misses = self.size, rate, 0
        else:
            self._misses += 1
        return self._misses >= _LOOKS

    def _rate(self, now_s: float) -> float:
        """Captions a second; by Little's law in the first round, for it began with none out."""
        if not self._good_rate:
            return self.size * self._captions / max(self._requests_s, 1e-9)
        return self._captions / max(now_s - self.since_s, 1e-9)
