"""Names sidecar files, so that each clip or film has a name of its own (main process)."""

import os
from collections.abc import Iterator

from captionfleet.config import ExportConfig
from captionfleet.export.choice import Choice, Item
from captionfleet.export.owned import Register
from captionfleet.ledger.files.index import State
from captionfleet.ledger.files.reading import text_in

__all__ = ["Naming"]

_STAYS = frozenset({State.CURRENT, State.UNREACHABLE})
_SHORT_ID_CHARS = 8
_MOST_WORD_CHARS = 64


class Naming:
    """The paths of an export's sidecar files, the same in every export while they are in use.

    A name that belongs to another clip is not taken away from it: the path then gets the film's
    whole name (`beach.mov.txt` beside `beach.txt` of beach.mp4) or, for a clip of the same film and
    window, the row's `id` or the clip's.
    """

    def __init__(self, choice: Choice, export: ExportConfig, register: Register) -> None:
        self._choice = choice
        self._register = register
        self._out = export.out
        self._ending = export.extension if export.to == "txt" else f".{export.to}"

    def of_clip(self, item: Item) -> str:
        """The path of a clip's text; empty if its film has no name."""
        middle = _request_part(item)
        if self._choice.has_several_windows(item):
            middle += f".{_seconds(item.entry.start_s)}-{_seconds(item.end_s)}"
        return self._free(item, middle, is_of_film=False)

    def of_film(self, item: Item) -> str:
        """The path of the subtitles of the item's film and request; empty if it has no name."""
        return self._free(item, _request_part(item), is_of_film=True)

    def former(self, item: Item, path: str) -> Iterator[bytes]:
        """Other files of this clip, which had another name in an earlier export."""
        ending = os.fsencode(self._ending)
        for other in self._register.paths(item.entry.clip, item.entry.request):
            if other != os.fsencode(path) and other.endswith(ending):
                yield other

    def _free(self, item: Item, middle: str, *, is_of_film: bool) -> str:
        base = self._base(item)
        if base is None:
            return ""
        path = ""
        for start in (os.path.splitext(base)[0], base):  # noqa: PTH122 - bytes in names
            path = f"{start}{middle}{self._ending}"
            holder = self._holder(path, item, is_of_film=is_of_film)
            if holder is None:
                return path
            if holder == item.entry.path:
                break
        start = path.removesuffix(self._ending)
        for word in _words(item):
            path = f"{start}.{word}{self._ending}"
            if self._holder(path, item, is_of_film=is_of_film) is None:
                break
        return path

    def _holder(self, path: str, item: Item, *, is_of_film: bool) -> bytes | None:
        """The film of the clip that this file belongs to; None if the item may have the name."""
        owner = self._register.owner(path)
        if owner is None or owner in {(b"", ""), (item.entry.clip, item.entry.request)}:
            return None
        there = self._choice.found.index.film_of(*owner)
        if there is None or not self._keeps(there[1], item):
            return None
        is_own = is_of_film and (there[0], owner[1]) == (item.entry.path, item.entry.request)
        return None if is_own else there[0]

    def _keeps(self, holder: State, item: Item) -> bool:
        """Whether a clip in this state keeps its name; among all, the current ones come first."""
        is_among_all = item.entry.state is not State.CURRENT and holder in self._choice.states
        return holder in _STAYS or is_among_all

    def _base(self, item: Item) -> str | None:
        """The film's path, or its path in the target folder, outside of which no name leads."""
        if self._out is None:
            return item.film or None
        parts = [part for part in (item.name or item.film).split("/") if part not in {"", "."}]
        safe = ["__" if part == ".." else part for part in parts if "\0" not in part]
        return os.path.join(os.path.abspath(self._out), *safe) if safe else None  # noqa: PTH100, PTH118 - links stay as they are


def _request_part(item: Item) -> str:
    return f".{_word(item.entry.request)}" if item.entry.request else ""


def _words(item: Item) -> Iterator[str]:
    """Words that tell clips of one film and window apart, the shortest first."""
    if row := _word(text_in(item.record, "id")):
        yield row
    clip = item.entry.clip.hex()
    yield clip[:_SHORT_ID_CHARS]
    yield clip


def _word(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "_" for char in name)[
        :_MOST_WORD_CHARS
    ]


def _seconds(value: float) -> str:
    return f"{value:05.0f}s" if value == int(value) else f"{value:09.3f}s"
