"""Tracks nodes of a cluster that get no clips for now, and whether any other is left (main)."""

from collections.abc import Sequence

__all__ = ["Refusals"]

# A disk may be mounted or repaired meanwhile; until then a node that fails at once would take all
# clips.
_AGAIN_S = 300.0


class Refusals:
    """Remembers nodes that cannot prepare clips, each for five minutes.

    Times are seconds on a clock that the caller chooses.
    """

    def __init__(self) -> None:
        self._until_s: dict[str, float] = {}
        self._last_words = ""

    def add(self, node_id: str, words: str, now_s: float) -> bool:
        """Refuse a node from now on; return whether that is new. `words` name it and say why."""
        is_new = node_id not in self.current(now_s)
        self._until_s[node_id] = now_s + _AGAIN_S
        self._last_words = words
        return is_new

    def current(self, now_s: float) -> tuple[str, ...]:
        """The ids of the nodes that get no clips, sorted."""
        return tuple(sorted(one for one, until_s in self._until_s.items() if until_s > now_s))

    def hopeless(self, alive: Sequence[str], now_s: float) -> str:
        """Why no node is left, "" if one is; `alive` are the ids of the living nodes with CPUs.

        A cluster without nodes with CPUs is not hopeless: one may be starting.
        """
        is_over = bool(alive) and set(alive) <= set(self.current(now_s))
        return self._last_words if is_over else ""
