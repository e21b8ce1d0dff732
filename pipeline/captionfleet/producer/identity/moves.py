"""Translates paths of a library that moved to its former paths (main process)."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["Moves"]


class Moves:
    """The moved folders of `relocate`, old path to new; construction blocks."""

    def __init__(self, relocate: Mapping[Path, Path]) -> None:
        moves = relocate.items()
        self._moves = [
            (os.path.normpath(old.absolute()), os.path.realpath(new)) for old, new in moves
        ]

    def former_paths(self, path: str) -> Iterator[str]:
        """The former paths of a file."""
        for old, new in self._moves:
            if path == new or path.startswith(new.rstrip("/") + "/"):
                yield old + path[len(new.rstrip("/")) :]
