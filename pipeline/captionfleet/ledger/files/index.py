"""Indexes the lines of a file in a temporary database, to find those that count (main process)."""

import sqlite3
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple, Self

__all__ = ["Entry", "LineIndex", "State"]

_BATCH = 1000
_CACHE_KIB = 8192


class State(IntEnum):
    """The state of the film of a line."""

    CURRENT = 0
    CHANGED = 1
    GONE = 2
    UNREACHABLE = 3
    UNSURE = 4
    REPLACED = 5

    @property
    def meaning(self) -> str:
        """The state for people; the text follows a number of lines."""
        return _MEANINGS[self]


_MEANINGS = {
    State.CURRENT: "current",
    State.CHANGED: "of files that changed since",
    State.GONE: "of files that are gone",
    State.UNREACHABLE: "of folders in which no captioned file is left: is the disk mounted?",
    State.UNSURE: "of files whose name or time changed, and whose bytes may be the same",
    State.REPLACED: "of clips that a later line holds, or of earlier versions of their objects",
}


class Entry(NamedTuple):
    """One line: its offset, its clip and request, and its film.

    `path` is empty where the film is unknown. Of lines that have the same `place` and request, only
    the latest counts, whatever their clips are; an empty `place` is compared with no other.
    """

    at: int
    clip: bytes
    alias: bytes
    request: str
    path: bytes
    root: bytes
    start_s: float
    end_s: float
    place: bytes
    state: State


_TABLES = """
CREATE TABLE lines (at INTEGER PRIMARY KEY, clip BLOB, alias BLOB, request TEXT, path BLOB,
                    root BLOB, start_s REAL, end_s REAL, place BLOB, state INTEGER);
CREATE TABLE latest (id BLOB, request TEXT, at INTEGER, PRIMARY KEY (id, request)) WITHOUT ROWID;
CREATE TABLE same (clip BLOB, alias BLOB, name BLOB, PRIMARY KEY (clip, alias)) WITHOUT ROWID;
"""
_KEEP_LATEST = (
    "INSERT INTO latest VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)"
)
_REPLACED = """
UPDATE lines SET state = :replaced
WHERE at < (SELECT at FROM latest WHERE id = clip AND latest.request = lines.request)
   OR at < (SELECT at FROM latest WHERE id = alias AND latest.request = lines.request)
   OR at < (SELECT at FROM latest WHERE id = place AND latest.request = lines.request)
"""
_UNREACHABLE = """
UPDATE lines SET state = :unreachable
WHERE state = :gone AND root NOT IN (SELECT DISTINCT root FROM lines WHERE state IN (0, 1, 4))
"""
_COLUMNS = ", ".join(Entry._fields)


class LineIndex:
    """The lines of one file by offset; memory does not grow with their number.

    The database is an unnamed file in the system's temporary folder, about 200 bytes for each line,
    250 for one with an address.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._db.executescript(_TABLES)
        self._waiting: list[Entry] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, entry: Entry) -> None:
        """Add a line."""
        self._waiting.append(entry)
        if len(self._waiting) >= _BATCH:
            self._write()

    def add_same(self, clip: bytes, alias: bytes, name: bytes) -> None:
        """Record another name under which a clip was found."""
        self._db.execute("INSERT OR REPLACE INTO same VALUES (?, ?, ?)", (clip, alias, name))

    def same(self, clip: bytes) -> list[tuple[bytes, bytes]]:
        """The other ids and names of a clip."""
        return self._db.execute("SELECT alias, name FROM same WHERE clip = ?", (clip,)).fetchall()

    def conclude(self) -> None:
        """Mark replaced and unreachable lines, once all lines are added."""
        self._write()
        self._db.execute(_REPLACED, {"replaced": State.REPLACED})
        states = {"unreachable": State.UNREACHABLE, "gone": State.GONE}
        self._db.execute(_UNREACHABLE, states)
        self._db.execute("CREATE INDEX by_film ON lines (path, request, start_s, at)")

    def counts(self) -> dict[State, int]:
        """The number of lines in each state."""
        rows = self._db.execute("SELECT state, count(*) FROM lines GROUP BY state")
        return {State(state): number for state, number in rows}

    def requests(self) -> set[str]:
        """The names of the requests that lines are of."""
        return {row[0] for row in self._db.execute("SELECT DISTINCT request FROM lines")}

    def entries(self, states: frozenset[State], *, by_film: bool = False) -> Iterator[Entry]:
        """The lines in these states, in file order, or by film, request and time."""
        order = "path, request, start_s, at" if by_film else "at"
        query = f"SELECT {_COLUMNS} FROM lines WHERE state IN ({_marks(states)}) ORDER BY {order}"  # noqa: S608 - numbers
        for *fields, state in self._db.execute(query):
            yield Entry._make([*fields, State(state)])

    def entry_at(self, at: int) -> Entry:
        """The line at an offset, which must be in the index."""
        query = f"SELECT {_COLUMNS} FROM lines WHERE at = ?"  # noqa: S608 - names
        *fields, state = self._db.execute(query, (at,)).fetchone()
        return Entry._make([*fields, State(state)])

    def has_several_windows(self, entry: Entry, states: frozenset[State]) -> bool:
        """Whether lines of the film under this request, in these states, are of several windows."""
        query = (
            "SELECT count(*) FROM (SELECT DISTINCT start_s, end_s FROM lines WHERE path = ? "  # noqa: S608 - numbers
            f"AND request = ? AND state IN ({_marks(states)}) LIMIT 2)"
        )
        found: tuple[int] = self._db.execute(query, (entry.path, entry.request)).fetchone()
        return found[0] > 1

    def is_succeeded(self, entry: Entry) -> bool:
        """Whether a current line is of the same window of a film at the same path."""
        query = (
            "SELECT 1 FROM lines WHERE path = ? AND request = ? AND start_s = ? AND end_s = ? "
            "AND state = 0"
        )
        film = entry.path, entry.request, entry.start_s, entry.end_s
        return self._db.execute(query, film).fetchone() is not None

    def film_of(self, clip: bytes, request: str) -> tuple[bytes, State] | None:
        """The path of a clip's film and the state of its latest line; None if it has no line."""
        query = (
            "SELECT path, state FROM latest JOIN lines USING (at) "
            "WHERE id = ? AND latest.request = ?"
        )
        found = self._db.execute(query, (clip, request)).fetchone()
        return None if found is None else (found[0], State(found[1]))

    def state_of(self, clip: bytes, request: str) -> State | None:
        """The state of a clip's latest line; None if it has none."""
        found = self.film_of(clip, request)
        return None if found is None else found[1]

    def _write(self) -> None:
        rows, self._waiting = self._waiting, []
        self._db.execute("BEGIN")
        marks = ", ".join("?" * len(Entry._fields))
        self._db.executemany(f"INSERT INTO lines VALUES ({marks})", rows)  # noqa: S608 - marks
        ids = [
            (identity, row.request, row.at)
            for row in rows
            for identity in (row.clip, row.alias, row.place)
        ]
        self._db.executemany(_KEEP_LATEST, [one for one in ids if one[0]])
        self._db.execute("COMMIT")


def _marks(states: frozenset[State]) -> str:
    return ", ".join(str(int(state)) for state in states)
