"""A film that a run waits for at its end, as for one still being copied: its workers wait too."""

import os
import shutil
from pathlib import Path
from typing import Any

AWAITING: dict[str, dict[str, Any]] = {"input": {"settle_s": 3600}}
"""The tables of a job that takes a film of a folder an hour after it was written."""

_AT_REST_S = 1e9


def awaited_film(film: Path, folder: Path) -> Path:
    """A copy of a film in a new folder, written just now."""
    folder.mkdir()
    return Path(shutil.copyfile(film, folder / film.name))


def let_settle(film: Path) -> None:
    """Make a film an old one, which no run waits for."""
    os.utime(film, (_AT_REST_S, _AT_REST_S))
