"""Knows rows that name a clip once more with other facts; pure (main process)."""

from collections.abc import Callable
from hashlib import blake2b
from operator import attrgetter

from captionfleet.messages import Row, for_terminal

__all__ = ["Repeats", "says_anything"]

_MARKS = 1 << 64
_NUMBERS = 1 << 40  # a list of more rows would take tebibytes


class Repeats:
    """Compares rows that name the same clip, of which one has a caption.

    A row is remembered as a number, its mark: the list, the row's place in it, and a hash of what
    it says. `tells_apart` gives what a row says that makes it another one.
    """

    def __init__(self, tells_apart: Callable[[Row], str] = attrgetter("id")) -> None:
        self._tells_apart = tells_apart
        self._lists: dict[str, int] = {}

    def mark(self, row: Row) -> int:
        """The mark of a row; 0 where no list names the film."""
        if not row.number:
            return 0
        place = self._lists.setdefault(row.list_path, len(self._lists)) * _NUMBERS + row.number
        return place * _MARKS + self._said(row)

    def contradiction(self, row: Row, first: int) -> str:
        """What a row says otherwise than the one with the mark `first`; empty if it repeats it."""
        said = self._said(row)
        if not said or said == first % _MARKS:
            return ""
        return (
            f"row {row.number}: it names the same film and window {self._before(row, first)}, with "
            "another id or other words for the prompt, but a clip has one caption per request: "
            "give the row a prompt or a window of its own, or remove it"
        )

    def _before(self, row: Row, first: int) -> str:
        place, number = divmod(first // _MARKS, _NUMBERS)
        if not number:
            return "that an earlier source names"
        named = list(self._lists)[place]
        if named == row.list_path:
            return f"as row {number}"
        return f"as row {number} of {for_terminal(named)}"

    def _said(self, row: Row) -> int:
        """A hash of what the row says; 0 where it says nothing."""
        said = self._tells_apart(row).encode()
        return int.from_bytes(blake2b(said, digest_size=8).digest()) if said else 0


def says_anything(row: Row) -> bool:
    """Whether a row has anything beside a path, a prompt and a window."""
    return bool(row.id) or row.metadata != "{}"
