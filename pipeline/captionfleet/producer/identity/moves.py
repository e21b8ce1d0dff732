"""Where the files of a library lay before it moved (main process)."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["Moves"]


class Moves:
    """The folders that moved, as `relocate` names them, old path to new; making it blocks."""

    def __init__(self, relocate: Mapping[Path, Path]) -> None:
        moves = relocate.items()
        self._moves = [
            (os.path.normpath(old.absolute()), os.path.realpath(new)) for old, new in moves
        ]

    def former_paths(self, path: str) -> Iterator[str]:
        """The paths that a file of this path had before."""
        for old, new in self._moves:
            if path == new or path.startswith(new.rstrip("/") + "/"):
                yield old + path[len(new.rstrip("/")) :]
