"""Selects the lines that an export takes, and edits their captions (main process)."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from captionfleet.config import CaptionConfig, ExportConfig
from captionfleet.config.filters import parse_filter
from captionfleet.export.wording import worded
from captionfleet.ledger.choosing import facts_of
from captionfleet.ledger.files.index import Entry, State
from captionfleet.ledger.files.reading import number_in, table_in, text_in
from captionfleet.names import name_bytes
from captionfleet.producer.current import FoundLines
from captionfleet.telemetry import Steps

__all__ = ["Choice", "Item"]

_CURRENT = frozenset({State.CURRENT})
_ALL = frozenset(State) - {State.REPLACED}
_AWAY = frozenset({State.UNREACHABLE, State.UNSURE})


@dataclass(frozen=True, slots=True)
class Item:
    """One line: the caption as exported, and its film.

    `film` is the absolute path and `name` the path below its source; both may hold undecodable
    bytes as surrogates. `end_s` is at most the film's end.
    """

    entry: Entry
    record: dict[str, Any]
    caption: str
    film: str
    name: str
    end_s: float


class Choice:
    """Iterates over the lines that an export takes, as often as needed."""

    def __init__(
        self,
        found: FoundLines,
        export: ExportConfig,
        wording: CaptionConfig,
        steps: Steps | None = None,
    ) -> None:
        self._steps = steps or Steps()
        self._to = export.to
        self.states = _ALL if export.all else _CURRENT
        self.found = found
        self._wording = wording
        self._filters = [parse_filter(text) for text in export.where]
        self._kept: Counter[State] = Counter()

    def items(self, *, by_film: bool = False) -> Iterator[Item]:
        """The lines in file order, or by film, request and time."""
        return self._items(self.states, by_film=by_film)

    def items_by_state(self) -> Iterator[Item]:
        """The current lines in file order, and then the others."""
        for states in (self.states & _CURRENT, self.states - _CURRENT):
            if states:
                yield from self._items(states)

    def away(self) -> Iterator[Item]:
        """Lines that this export leaves out, whose films may be back or found tomorrow.

        What an earlier export holds of them should stay. Without those of films that have another
        caption at the same path, so that the earlier version is most likely gone.
        """
        if states := _AWAY - self.states:
            for item in self._items(states):
                if not self.found.index.is_succeeded(item.entry):
                    yield item

    def keep(self, item: Item) -> None:
        """Count a line that is away as one that is not left out."""
        self._kept[item.entry.state] += 1

    def left_out(self) -> dict[State, int]:
        """The numbers of lines that are not exported because of their films."""
        counts = Counter(self.found.index.counts())
        counts.subtract(self._kept)
        return {state: number for state, number in counts.items() if state not in self.states}

    def item_at(self, at: int) -> Item:
        """The item of a line that was iterated before."""
        entry = self.found.index.entry_at(at)
        return self._item(entry, self.found.record(entry))

    def has_several_windows(self, item: Item) -> bool:
        """Whether several windows of the film have a caption by this request."""
        return self.found.index.has_several_windows(item.entry, self.states)

    def worded(self, record: dict[str, Any], text: str) -> str:
        """A text of this line's answer, as it is exported."""
        return text if _is_data(record) else worded(text, self._wording)

    def _items(self, states: frozenset[State], *, by_film: bool = False) -> Iterator[Item]:
        counts = self.found.index.counts()
        total = sum(counts.get(state, 0) for state in states)
        self._steps.begin(f"writing {self._to}", total, "lines")
        for entry in self._steps.over(self.found.index.entries(states, by_film=by_film)):
            record = self.found.record(entry)
            if record and self._is_chosen(entry, record):
                yield self._item(entry, record)

    def _is_chosen(self, entry: Entry, record: dict[str, Any]) -> bool:
        facts = facts_of(record, entry.path)
        return all(one.admits(facts) for one in self._filters)

    def _item(self, entry: Entry, record: dict[str, Any]) -> Item:
        end_s = number_in(record, "end_s") or entry.start_s
        film_s = number_in(table_in(record, "media"), "source_s")
        if film_s is not None and entry.start_s < film_s:
            end_s = min(end_s, film_s)
        caption = self.worded(record, text_in(record, "caption"))
        name = os.fsdecode(name_bytes(record, "source") or b"")
        return Item(entry, record, caption, os.fsdecode(entry.path), name, end_s)


def _is_data(record: dict[str, Any]) -> bool:
    """Whether the caption is JSON for programs, which edits must not break."""
    data = record.get("data")  # JSON as text; the value itself in earlier lines
    return data not in {"", "null"} if isinstance(data, str) else data is not None
