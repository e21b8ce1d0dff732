"""Shrinks a concurrency window after refusals and timeouts, and restores it; pure (main)."""

import math

from captionfleet.sender.routing.suspicion import Suspicion

__all__ = ["CongestionWindow"]

_QUIET = 6  # captions in a row before a lost place is restored
_CERTAIN = 64  # captions before a restored place; at this number the limit counts as known
_PROOF = 4  # captions of requests above a known limit, which disprove it
_SMALL = 8
_NEAR = 0.8  # a loss above this share of a known limit may be chance and does not move it
_STORM = 0.85  # factor on a window that is refused before it was quiet
_REQUEST_WEIGHT = 0.1  # of the newest request time in their mean


class CongestionWindow:
    """A window that returns to its `aim` after losses.

    Faults unrelated to load cost no place, as far as `Suspicion` can distinguish them. A loss
    at the server's limit costs one place for a few captions; a series of losses costs more each
    time. If a restored place is lost at once, at the same level and repeatedly, that level is the
    server's limit: the window then retries it more and more rarely, which keeps refusals under 2 %
    of the answers.

    In every method `level` is the number of requests in flight when the ended one began, itself
    included.
    """

    def __init__(self, size: int) -> None:
        self.size = self.aim = size
        self._suspicion = Suspicion()
        self._end: int | None = None  # requests in flight where the last one was lost
        self._past_end = 0  # captions of requests past it since
        self._doubted: int | None = None  # in flight at a loss below it that may be chance
        self._quiet = _QUIET
        self._calm = _QUIET  # captions since the last loss, less those that bought a place
        self._shrunk_s = self._grown_s = -math.inf
        self._shrunk_from = size
        self._request_s = 0.0

    def __repr__(self) -> str:
        return (
            f"CongestionWindow(size={self.size}, aim={self.aim}, end={self._end}, "
            f"quiet={self._quiet}, calm={self._calm}, {self._suspicion})"
        )

    @property
    def knows_end(self) -> bool:
        """Whether the server's limit keeps the window below its aim."""
        return self._quiet >= _CERTAIN

    def aim_at(self, size: int, now_s: float) -> None:
        """Aim at a size, and use it unless there was a recent loss."""
        was_whole = self.size == self.aim
        self.aim = size
        self._resize(size if was_whole else min(self.size, size), now_s)

    def answered(self, now_s: float, *, started_s: float, level: int) -> bool:
        """Record a caption; after enough of them a place is restored.

        Returns:
            Whether it disproved a known limit.
        """
        self._calm += 1
        self._request_s += _REQUEST_WEIGHT * (now_s - started_s - self._request_s)
        self._suspicion.taken(at_top=level >= self.size)
        if self._doubted is not None and level >= self._doubted and started_s > self._shrunk_s:
            self._doubted = None
        is_disproof = self._has_passed_end(started_s, level)
        quiet = _QUIET if self._is_below_end else self._quiet
        if self.size < self.aim and self._calm >= quiet:
            self._grow(now_s)
        return is_disproof

    def faulted(self) -> None:
        """Record a failure that is unrelated to load."""
        self._suspicion.faulted()

    def lost(self, now_s: float, *, started_s: float, in_flight: int, level: int) -> None:
        """Record a refusal or timeout: the server's capacity is the requests still in flight.

        Requests lost together, sent before the first of them was lost, at most halve the window.
        """
        is_known_end = self._end is not None and level >= self._end
        if not self._suspicion.lost(is_known_end=is_known_end):
            return
        self._past_end = 0
        accepted = min(max(in_flight - 1, 1), self.size)
        if started_s <= self._shrunk_s:
            self._calm, self._end = 0, min(self._end or in_flight, in_flight)
            self._resize(min(max(accepted, self._shrunk_from // 2), self.size), now_s)
            return
        self._note_end(now_s, started_s, in_flight)
        bound = self.size - 1 if self._calm >= _QUIET else int(_STORM * self.size)
        self._calm, self._shrunk_s, self._shrunk_from = 0, now_s, self.size
        self._resize(max(min(accepted, bound), self.size // 2), now_s)

    def _has_passed_end(self, started_s: float, level: int) -> bool:
        """Whether captions from beyond the known limit disprove it; forgets the limit then."""
        if self._end is None or level < self._end or started_s <= self._shrunk_s:
            return False
        self._past_end += 1
        if self._past_end < _PROOF:
            return False
        self._end, self._quiet = None, _QUIET
        return True

    def _note_end(self, now_s: float, started_s: float, in_flight: int) -> None:
        """Learn the server's limit from a loss.

        A request that took the place that was just restored confirms the limit, which is then tried
        more rarely. A loss slightly below it may be chance: a second one, without a caption from
        there in between, or one in a place that was just restored lowers the limit. All other
        losses start over.
        """
        latest_s = self._grown_s + self._request_s / 16 + (now_s - started_s)
        is_restored, end = started_s <= latest_s, self._end
        self._grown_s = -math.inf
        is_near = end is not None and _NEAR * end <= in_flight < end
        if is_near and not is_restored and self._doubted is None:
            self._doubted = in_flight
            return
        self._doubted = None
        if end is not None and in_flight >= end and is_restored:
            longer = 4 if self.size >= _SMALL else 2  # a small window brings few captions
            self._quiet = min(longer * self._quiet, max(_CERTAIN, 16 * self.size))
        elif is_near:
            self._quiet = min(self._quiet, _CERTAIN)
        else:
            self._quiet = _QUIET
        self._end = in_flight

    @property
    def _is_below_end(self) -> bool:
        """Whether the next place is below the known limit, so that nothing speaks against it."""
        return self._end is not None and self.size + 1 < self._end

    def _grow(self, now_s: float) -> None:
        if not self._is_below_end:
            if now_s < self._grown_s + self._request_s / 16:
                return  # captions that arrive together must not restore a place each
            self._calm -= max(self._quiet // 4, 1)
        self._resize(self.size + 1, now_s)

    def _resize(self, size: int, now_s: float) -> None:
        if size > self.size:
            self._grown_s = now_s
        self.size = max(size, 1)
