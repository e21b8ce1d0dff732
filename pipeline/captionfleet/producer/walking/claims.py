"""Who takes a file that several sources reach: the first (main process, in a thread)."""

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
    """A folder that is walked whole: a source, or what a followed link leads to.

    `real` has no link in it; `relative` is where it hangs under its source, empty for a source.
    """

    real: str
    relative: str
    order: Order


class Claims:
    """Settles overlaps without remembering the files of a folder.

    Remembered are the areas, and 16 bytes for each file that a list or a link names (about 100 as
    Python keeps them).
    """

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._areas: dict[str, Area] = {}
        self._named: set[int] = set()

    def add(self, area: Area) -> None:
        """Let an area claim all it will take; of two on the same folder the earlier stays."""
        there = self._areas.get(area.real)
        if there is None or area.order < there.order:
            self._areas[area.real] = area

    def reaching(self, folder: str, *, before: Order | None = None) -> tuple[str, ...]:
        """How the areas (earlier than `before`) that walk through this real folder call it."""
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
        """Whether an area (earlier than `before`) takes this file under its own name."""
        folder, name = os.path.split(real_file)
        return self.takes_in(self.reaching(folder, before=before), name)

    def takes_in(self, folders: tuple[str, ...], name: str) -> bool:
        """The same, with what `reaching` said of the file's folder."""
        return any(
            self._selection.file_reason(name, f"{folder}/{name}" if folder else name) is None
            for folder in folders
        )

    def name_file(self, real_file: str, prompt: str = "", window: Window | None = None) -> bool:
        """Claim a file that a source or a link names, for this prompt and this window of it.

        False if a source or a link claimed the same before.
        """
        return _add(self._named, _digest(os.fsencode(real_file) + _asked(prompt, window)))

    def was_named(self, real_file: str) -> bool:
        """Whether a source or a link named the file, earlier."""
        return bool(self._named) and _digest(os.fsencode(real_file)) in self._named


def _add(known: set[int], digest: int) -> bool:
    before = len(known)
    known.add(digest)
    return len(known) > before


def _asked(prompt: str, window: Window | None) -> bytes:
    """What is asked of a file beside its path, which holds no NUL; empty for the file as such."""
    if not prompt and window is None:
        return b""
    times = " ".join(at_s.hex() for at_s in window or ())
    return f"\0{times}\0{prompt}".encode()


def _digest(identity: bytes) -> int:
    return int.from_bytes(blake2b(identity, digest_size=16).digest())
