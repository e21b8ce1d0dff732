"""Draws a random sample of a library of any size; pure (main process)."""

import random

from captionfleet.messages import Source

__all__ = ["Drawing"]


class Drawing:
    """Keeps a random sample of at most `most` of the sources that it is shown.

    The same sources in the same order give the same sample for a seed (Vitter's algorithm R).
    """

    def __init__(self, most: int, seed: int = 0) -> None:
        self.drawn: list[Source] = []
        self.seen = 0
        self._most = most
        self._dice = random.Random(seed)  # noqa: S311 - repeatable, guards nothing

    @property
    def is_partial(self) -> bool:
        """Whether the sample leaves sources out."""
        return self.seen > len(self.drawn)

    def show(self, source: Source) -> None:
        """Offer the next source to the sample."""
        self.seen += 1
        if len(self.drawn) < self._most:
            self.drawn.append(source)
        elif (place := self._dice.randrange(self.seen)) < self._most:
            self.drawn[place] = source
