"""Chooses the clips that the gallery shows; pure (main process)."""

import hashlib
import heapq
from dataclasses import dataclass, field

__all__ = ["Choice", "Pick", "Sample"]

_ALL_UP_TO, _ELSE = 1000, 300


@dataclass(frozen=True, slots=True, order=True)
class Pick:
    """A candidate line: its offset and its random rank."""

    rank: int
    offset: int


class Sample:
    """The `most` lines of lowest rank; the rank is a hash of the clip, so that runs agree on it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[int, int]] = []
        self.seen = 0

    def add(self, clip_id: str, offset: int) -> None:
        """Offer one line."""
        self.seen += 1
        digest = hashlib.blake2b(clip_id.encode("utf-8", "replace"), digest_size=8).digest()
        entry = (-int.from_bytes(digest), offset)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        elif self._most:
            heapq.heappushpop(self._heap, entry)

    def picks(self, most: int | None = None) -> list[Pick]:
        """The chosen lines, lowest rank first."""
        return sorted(Pick(-rank, offset) for rank, offset in self._heap)[:most]


@dataclass(slots=True)
class Choice:
    """Everything flagged, the slowest, and a sample of all; each limited.

    `sample` is the size of the sample; None: all of a small run, else a few hundred.
    """

    sample: int | None = None
    max_flagged: int = 2000
    flagged: Sample = field(init=False)
    any: Sample = field(init=False)

    def __post_init__(self) -> None:
        self.flagged = Sample(self.max_flagged)
        self.any = Sample(_ALL_UP_TO if self.sample is None else self.sample)

    def add(self, clip_id: str, offset: int, *, is_flagged: bool) -> None:
        """Offer one captions line."""
        self.any.add(clip_id, offset)
        if is_flagged:
            self.flagged.add(clip_id, offset)

    def offsets(self, slowest: list[int]) -> list[int]:
        """The offsets of the chosen lines, the most interesting first."""
        few = _ELSE if self.sample is None and self.any.seen > _ALL_UP_TO else None
        picks = [*self.flagged.picks(), *self.any.picks(few)]
        return list(dict.fromkeys([*slowest, *(pick.offset for pick in picks)]))
