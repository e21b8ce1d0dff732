"""Keeps names sorted by ranks that change often; pure (main process)."""

import math
from bisect import bisect_left, insort

__all__ = ["Ranking"]


class Ranking:
    """Names sorted by rank; finds the first without a search."""

    def __init__(self) -> None:
        self._order: list[tuple[float, int, str]] = []
        self._ranks: dict[str, tuple[float, int, str]] = {}

    def place(self, name: str, rank: tuple[float, int] | None) -> None:
        """Move a name to its new rank, or remove it."""
        if (old := self._ranks.pop(name, None)) is not None:
            del self._order[bisect_left(self._order, old)]
        if rank is not None:
            self._ranks[name] = new = (*rank, name)
            insort(self._order, new)

    def first(self, *, but: str | None = None, most: float = math.inf) -> str | None:
        """The first name other than `but`, if its rank is at most `most`."""
        order, place = self._order, 0
        if order and order[0][2] == but:
            place = 1
        if place == len(order) or order[place][0] > most:
            return None
        return order[place][2]
