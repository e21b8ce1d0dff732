"""Decides which source yields a file that several sources reach (main process, in a thread)."""

import os
from dataclasses import dataclass
from hashlib import blake2b

from captionfleet.producer.walking.selection import Selection
from captionfleet.producer.windows import Window

__all__ = ["Area", "Claims", "Order"]

Order = tuple[int, int]
"""When a walk came to something: the source's position, then a count within that source."""


@dataclass(frozen=True, slots=True)
class Area:
    """A folder that is walked completely: a source, or the target of a followed link.

    `real` is free of links; `relative` is the path below its source, empty for a source itself.
    """

    real: str
    relative: str
    order: Order


class Claims:
    """Resolves overlapping sources without remembering the files of a folder.

    Remembers the areas, and 16 bytes for each file that a list or a link names (about 100 in
    Python).
    """

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._areas: dict[str, Area] = {}
        self._named: set[int] = set()

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

    def name_file(self, real_file: str, prompt: str = "", window: Window | None = None) -> bool:
        """Claim a file that a source or link names, for this prompt and window.

        False if an earlier source or link claimed the same.
        """
        return _add(self._named, _digest(os.fsencode(real_file) + _asked(prompt, window)))

    def was_named(self, real_file: str) -> bool:
        """Whether an earlier source or link named the file."""
        return bool(self._named) and _digest(os.fsencode(real_file)) in self._named


def _add(known: set[int], digest: int) -> bool:
    before = len(known)
    known.add(digest)
    return len(known) > before


def _asked(prompt: str, window: Window | None) -> bytes:
    """The prompt and window as a suffix of the path, after a NUL; empty for the whole file."""
    if not prompt and window is None:
        return b""
    times = " ".join(at_s.hex() for at_s in window or ())
    return f"\0{times}\0{prompt}".encode()


def _digest(identity: bytes) -> int:
    return int.from_bytes(blake2b(identity, digest_size=16).digest())
