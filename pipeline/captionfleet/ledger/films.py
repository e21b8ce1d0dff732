"""Reads the lengths and scenes of films that earlier runs measured: films.jsonl (main process)."""

import os
from array import array
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio.to_thread

from captionfleet.errors import OutputError
from captionfleet.ledger.files.names import FILMS
from captionfleet.ledger.files.reading import id_in, number_in, raw_lines, record_of
from captionfleet.ledger.format.serialising import MEASURED_BY
from captionfleet.messages import Film, printable

__all__ = ["KnownFilms", "load_films"]

_LONGEST_S = 1e9
_LONGEST_SCENES_S = 4e6  # 32 bits of milliseconds


class KnownFilms:
    """Measured films by id; about 150 bytes each, and 4 for each scene.

    Scenes are kept even if a new version measures films in another way: other scenes would be other
    clips, to be paid for again.
    """

    def __init__(self) -> None:
        self._scene_ends_ms: dict[int, array[int]] = {}
        self._seconds: dict[int, float] = {}
        self._joined: set[int] = set()

    def get(self, film_id: str) -> Film | None:
        """The film's measurements; None if it was never measured."""
        identity = int(film_id, 16)
        seconds = self._seconds.get(identity)
        if seconds is None:
            return None
        ends_ms = self._scene_ends_ms.get(identity, ())
        return Film(seconds, identity in self._joined, tuple(one / 1000 for one in ends_ms))

    def add(self, film_id: str, film: Film) -> None:
        """Add a film."""
        identity = int(film_id, 16)
        self._seconds[identity] = film.seconds
        if film.is_joined:
            self._joined.add(identity)
        if film.scene_ends_s:
            self._scene_ends_ms[identity] = array("I", [round(1000 * s) for s in film.scene_ends_s])

    def forget_unknown(self) -> None:
        """Remove the films that could not be measured."""
        self._seconds = {one: seconds for one, seconds in self._seconds.items() if seconds > 0}


async def load_films(folder: Path) -> KnownFilms:
    """Read the measurements of earlier runs; invalid lines are ignored.

    Raises:
        OutputError: the file is there and cannot be read.
    """
    return await anyio.to_thread.run_sync(_load, folder / FILMS)


def _load(path: Path) -> KnownFilms:
    known = KnownFilms()
    try:
        for _, line in raw_lines(path):
            record = record_of(line)
            identity, seconds = id_in(record, "film_id"), number_in(record, "seconds")
            ends_s = _scene_ends_s(record)
            is_current = record.get("measured_by") == MEASURED_BY or ends_s
            if is_current and identity is not None and seconds is not None:
                is_joined = record.get("is_joined") is True
                known.add(
                    f"{identity:032x}", Film(min(max(seconds, 0.0), _LONGEST_S), is_joined, ends_s)
                )
    except FileNotFoundError:
        pass
    except OSError as error:
        where = printable(os.fspath(path))
        raise OutputError(f"{where}: cannot read how long films are: {error.strerror}") from None
    return known


def _scene_ends_s(record: dict[str, Any]) -> tuple[float, ...]:
    """The ends of scenes, if they increase; empty for anything else."""
    found = record.get("scene_ends_s")
    if not isinstance(found, list) or not all(isinstance(one, int | float) for one in found):
        return ()
    ends_s = (0.0, *map(float, found))
    is_rising = all(before < after for before, after in pairwise(ends_s))
    return ends_s[1:] if is_rising and ends_s[-1] < _LONGEST_SCENES_S else ()
