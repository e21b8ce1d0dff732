"""Decides which source yields a file that several sources reach (main process, in a thread)."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from operator import attrgetter
from pathlib import PurePath

from captionfleet.messages import NO_ROW, Row
from captionfleet.producer.walking.passed_over import Selection
from captionfleet.producer.walking.repeats import Repeats
from captionfleet.producer.windows import Window

__all__ = ["Area", "Claims", "Order"]

Order = tuple[int, int]
"""The place of a find in a walk: the source's position, then a count within that source."""


@dataclass(frozen=True, slots=True)
class Area:
    """A folder that is walked completely: a source, or the target of a followed link.

    `real` is free of links; `relative` is the path below its source, empty for a source itself.
    `row` is the row that names the folder, if one does.
    """

    real: str
    relative: str
    order: Order
    row: Row = NO_ROW


class Claims:
    """Resolves overlapping sources without remembering the files of a folder.

    Memory: the areas, and about 100 bytes for each file that a list or a link names, 50 more if the
    list has columns.
    """

    def __init__(
        self, selection: Selection, tells_apart: Callable[[Row], str] = attrgetter("id")
    ) -> None:
        self._selection = selection
        self._repeats = Repeats(tells_apart)
        self._areas: dict[str, Area] = {}
        self._named: dict[int, int] = {}

    def add(self, area: Area) -> None:
        """Register an area that claims all files below it; of two equal areas the earlier wins."""
        there = self._areas.get(area.real)
        if there is None or area.order < there.order:
            self._areas[area.real] = area

    def reaching(self, folder: str, *, before: Order | None = None) -> tuple[str, ...]:
        """The paths of this real folder within the areas (before `before`) that walk through it."""
        found = []
        real, below = folder, ""
        while True:
            area = self._areas.get(real)
            if area and (before is None or area.order < before):
                relative = "/".join(filter(None, (area.relative, below)))
                if self._selection.reaches(area.relative, below):
                    found.append(relative)
            parent, name = os.path.split(real)
            if parent == real:
                return tuple(found)
            real, below = parent, f"{name}/{below}" if below else name

    def takes(self, real_file: str, *, before: Order | None = None) -> bool:
        """Whether an area (before `before`) yields this file under its own path."""
        folder, name = os.path.split(real_file)
        return self.takes_in(self.reaching(folder, before=before), name)

    def takes_in(self, folders: tuple[str, ...], name: str) -> bool:
        """The same, given the result of `reaching` for the file's folder."""
        return any(
            self._selection.file_reason(name, f"{folder}/{name}" if folder else name) is None
            for folder in folders
        )

    def name_file(self, real_file: str, row: Row = NO_ROW, window: Window | None = None) -> bool:
        """Claim a file that a source or link names, for the row's prompt and this window.

        False if an earlier source or link claimed the same.
        """
        identity = _identity(real_file, row, window)
        if identity in self._named:
            return False
        self._named[identity] = self._repeats.mark(row)
        return True

    def contradiction(self, real_file: str, row: Row, window: Window | None = None) -> str:
        """How a row differs from the row that claimed its clip first; empty if it repeats it."""
        first = self._named.get(_identity(real_file, row, window))
        if first is None:
            first = self._repeats.mark(self._row_above(real_file))
        return self._repeats.contradiction(row, first)

    def _row_above(self, real_file: str) -> Row:
        """The row of the first area with this file."""
        folders = map(os.fspath, PurePath(real_file).parents)
        areas = [self._areas[folder] for folder in folders if folder in self._areas]
        return min(areas, key=attrgetter("order")).row if areas else NO_ROW

    def was_named(self, real_file: str) -> bool:
        """Whether an earlier source or link named the file."""
        return bool(self._named) and _digest(os.fsencode(real_file)) in self._named


def _identity(real_file: str, row: Row, window: Window | None) -> int:
    return _digest(os.fsencode(real_file) + _asked(row.prompt, window))


def _asked(prompt: str, window: Window | None) -> bytes:
    """The prompt and window as a suffix of the path, after a NUL; empty for the whole file."""
    if not prompt and window is None:
        return b""
    times = " ".join(at_s.hex() for at_s in window or ())
    return f"\0{times}\0{prompt}".encode()


def _digest(identity: bytes) -> int:
    return int.from_bytes(blake2b(identity, digest_size=16).digest())
