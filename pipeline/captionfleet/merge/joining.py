"""Decides which lines of several output folders remain after a merge (main process, in a thread).

Two lines are of one clip if they share a clip_id or a stat_id. Of one clip's lines with the same
media and the same request, the latest remains. Memory stays constant: SQLite keeps the index in a
temporary file.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import Enum
from typing import Any

from captionfleet.ledger.files.reading import table_in, text_in

__all__ = ["Fate", "Joining", "open_joining"]

_SCHEMA = """
    create table line (
        number integer primary key, folder integer, at integer, completed text, media blob,
        path text, digest blob, request text, stands integer
    );
    create table clip (id blob primary key, line integer) without rowid;
    create table failed (id blob primary key, folder integer, at integer, failed text)
        without rowid;
    create table seen (digest blob primary key) without rowid;
    create unique index place on line (folder, at);
    create index owner on clip (line);
"""


class Fate(Enum):
    """What happens to a captions line."""

    NEW = "new"
    SAME = "same"  # an identical line, of a folder that was joined before
    REPEATED = "repeated"  # another caption of a clip that has one: paid for twice
    UNFIT = "unfit"  # another film under the same id
    NAMELESS = "nameless"


@contextmanager
def open_joining() -> Iterator["Joining"]:
    """An empty index, deleted after the block."""
    with closing(sqlite3.connect("", isolation_level=None)) as database:  # "": a temporary file
        database.executescript("pragma journal_mode = off; pragma synchronous = off;" + _SCHEMA)
        database.execute("begin")
        yield Joining(database)


class Joining:
    """The index; lines are identified by their folder's position and their offset."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, folder: int, at: int, record: dict[str, Any], raw: bytes) -> Fate:
        """Add a captions line."""
        ids = _ids(record)
        if not ids:
            return Fate.NAMELESS
        completed_at, own_media = text_in(record, "completed_at_utc"), _media(record)
        own_path, own_digest = text_in(record, "path"), _digest(raw)
        request = text_in(record, "request")
        own = (folder, at, completed_at, own_media, own_path, own_digest, request)
        there = self._line_of(ids)
        if there is None:
            self._stand(ids, own)
            return Fate.NEW
        number, completed, media, path, digest = there
        if digest == own_digest:
            return Fate.SAME
        if media != own_media and not (path and path == own_path):
            return Fate.UNFIT
        if completed_at >= completed:
            self._database.execute("update line set stands = 0 where number = ?", (number,))
            self._stand(ids, own)
            self._database.execute(
                "update clip set line = (select max(number) from line) where line = ?", (number,)
            )
        else:
            self._name(ids, number)
        return Fate.REPEATED

    def stands(self, folder: int, at: int) -> bool:
        """Whether this captions line is the one that remains for its clip."""
        found = self._database.execute(
            "select stands from line where folder = ? and at = ?", (folder, at)
        ).fetchone()
        return bool(found and found[0])

    def add_failure(self, folder: int, at: int, record: dict[str, Any]) -> None:
        """Add a failures line; the latest of a clip counts."""
        ids, failed = _ids(record), text_in(record, "failed_at_utc")
        if not ids or self._line_of(ids) is not None:
            return
        there = self._one("select failed from failed where id = ?", ids[0])
        if there is None or failed >= there[0]:
            self._database.execute(
                "insert or replace into failed values (?, ?, ?, ?)", (ids[0], folder, at, failed)
            )

    def stands_failed(self, folder: int, at: int, record: dict[str, Any]) -> bool:
        """Whether this failures line is the one that remains for its clip."""
        ids = _ids(record)
        found = ids and self._one("select folder, at from failed where id = ?", ids[0])
        return bool(found) and found == (folder, at)

    def is_first(self, line: bytes) -> bool:
        """Whether no identical line was added before."""
        before = self._database.total_changes
        self._database.execute("insert or ignore into seen values (?)", (_digest(line),))
        return self._database.total_changes > before

    def clips(self) -> int:
        """How many clips have a caption."""
        found = self._database.execute("select count(*) from line where stands").fetchone()
        return int(found[0])

    def copies(self) -> int:
        """How many clips show the same media as another clip, usually copies of a file."""
        (count,) = self._database.execute(
            "select coalesce(max(copies), 0) from (select sum(n - 1) as copies from ("
            "select request, count(*) as n from line where stands and media is not null "
            "group by request, media having n > 1) group by request)"
        ).fetchone()
        return int(count)

    def _line_of(self, ids: list[bytes]) -> tuple[Any, ...] | None:
        for identity in ids:
            found = self._one(
                "select number, completed, media, path, digest from line "
                "join clip on clip.line = line.number where clip.id = ?",
                identity,
            )
            if found is not None:
                return found
        return None

    def _stand(self, ids: list[bytes], own: tuple[Any, ...]) -> None:
        number = self._database.execute(
            "insert into line (folder, at, completed, media, path, digest, request, stands) "
            "values (?, ?, ?, ?, ?, ?, ?, 1)",
            own,
        ).lastrowid
        self._name(ids, number)

    def _name(self, ids: list[bytes], number: int | None) -> None:
        rows = [(identity, number) for identity in ids]
        self._database.executemany("insert or replace into clip values (?, ?)", rows)

    def _one(self, query: str, identity: bytes) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._database.execute(query, (identity,)).fetchone()
        return found


def _ids(record: dict[str, Any]) -> list[bytes]:
    """Both ids of the clip, each with the request's name, if it has one."""
    ids, request = [], text_in(record, "request").encode("utf-8", "replace")
    for key in ("clip_id", "stat_id"):
        try:
            ids.append(bytes.fromhex(text_in(record, key)))
        except ValueError:
            continue
    return [identity + request for identity in ids if identity]


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line.strip(), digest_size=16).digest()


def _media(record: dict[str, Any]) -> bytes | None:
    media = table_in(record, "media")
    hashes = text_in(media, "video_sha256") + text_in(media, "audio_sha256")
    return hashes.encode("utf-8", "replace") or None
