"""Grows a concurrency window at first, while the rate of captions follows; pure (main process)."""

from dataclasses import dataclass

__all__ = ["Climb"]

_MEASURED = 12  # least number of captions in a round
_RISES = 1.15  # least gain in rate that a window half as large again must bring; doubled is ideal
_JUDGED = 1.5  # growth of the window between two judgements
_LOOKS = 2  # rounds without a gain that end the climb: one may be chance
_IDLE = 0.2  # share of a round's captions that found free places; above it, the round shows nothing


@dataclass(slots=True)
class Climb:
    """One climb; a round lasts as many captions as the window had places at its start.

    A round takes about one service time, in which a window that gains a place with every caption
    doubles, as in TCP's slow start. Meanwhile the rate is measured: a queueing server shows its
    capacity only by a rate that stops rising, while a refusing server shows it by refusals.

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
        """Whether the window may gain another place in this round."""
        return size < 2 * self.size

    def restart(self, size: int, now_s: float) -> None:
        """Begin another round with this window."""
        self.size, self.since_s = size, now_s
        self._captions = self._idle = 0
        self._requests_s = 0.0

    def count(self, now_s: float, *, started_s: float, is_full: bool) -> bool:
        """Count a caption; return whether it ends the round."""
        self._captions += 1
        self._idle += not is_full
        self._requests_s += now_s - started_s
        return self._captions >= max(self.size, _MEASURED)

    def is_over(self, now_s: float) -> bool:
        """Judge the ended round; return whether a larger window brings no more."""
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
        """Captions per second; by Little's law in the first round, which starts empty."""
        if not self._good_rate:
            return self.size * self._captions / max(self._requests_s, 1e-9)
        return self._captions / max(now_s - self.since_s, 1e-9)
