"""Registers the files that exports wrote, so that no other file is overwritten (main process).

A file belongs to an export if it is in the register with the hash of its content. A file is
registered before it is written, so a kill in between leaves no unregistered file.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path

from filelock import FileLock, Timeout

from captionfleet.config.sections.export import Overwrite
from captionfleet.errors import OutputError
from captionfleet.export.whole_files import content_of, draft_of, put, remove_drafts
from captionfleet.ledger.files.disk import create_folder, output_errors
from captionfleet.messages import printable

__all__ = ["Register", "Written", "open_register"]

_TABLE = """
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, clip BLOB, request TEXT, hash BLOB,
                                  former BLOB, is_done INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members (clip BLOB, request TEXT, shard INTEGER, at INTEGER,
                                    PRIMARY KEY (clip, request)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_shard ON members (shard, at);
CREATE INDEX IF NOT EXISTS by_clip ON files (clip, request);
"""
_JOIN = """
INSERT INTO members VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at
"""
_PUT = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, 0)"
_NEW_OWNER = """
UPDATE files SET clip = ?, request = ? WHERE path = ? AND (clip, request) != (?, ?)
"""
_NO_PLACE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}
_PAGE_FILES = 1000  # some 200 kB


class Written(StrEnum):
    """What an export did with one file."""

    WRITTEN = "written"
    SAME = "as they were"
    KEPT = "left as they were (--overwrite never)"
    EDITED = "left, as they were edited since"
    FOREIGN = "left, as no export wrote them"
    REMOVED = "removed, as their films changed or are gone"
    RENAMED = "removed, as their captions have other names now"
    NO_PLACE = "not written, as their folder is gone or their name too long"


@contextmanager
def open_register(folder: Path, target: str) -> Iterator["Register"]:
    """The register of one target, kept in the output folder, for one export at a time.

    Raises:
        OutputError: it cannot be written, or another export writes to the same target.
    """
    home = folder / ".export"
    create_folder(home)
    base = home / blake2b(os.fsencode(target), digest_size=8).hexdigest()
    lock = FileLock(base.with_suffix(".lock"))
    with output_errors(home):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise OutputError(
                f"another export writes to {printable(target)}: wait for it"
            ) from None
    try:
        database = sqlite3.connect(base.with_suffix(".sqlite"), isolation_level=None)
        try:
            # Commits outlast a kill; a power cut may lose the last of them.
            for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL"):
                database.execute(f"PRAGMA {setting}")
            database.executescript(_TABLE)
            yield Register(database)
        finally:
            database.close()
    except sqlite3.Error as error:
        where = printable(os.fspath(base.with_suffix(".sqlite")))
        raise OutputError(f"cannot write {where}: {error}") from None
    finally:
        lock.release()


class Register:
    """The files of one target."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database
        self._open: tuple[int, int] | None = None
        self._gone: set[int] = set()

    @contextmanager
    def claim(self, path: str) -> Iterator[None]:
        """Claim a file that the block writes as a whole, any number of times.

        Raises:
            OutputError: it exists, and no export wrote it.
        """
        raw = os.fsencode(path)
        if not self._row(raw) and os.path.lexists(path):
            raise OutputError(
                f"{printable(path)}: it exists, and no export wrote it: choose another --out, or "
                "remove it"
            )
        self._db.execute(_PUT, (raw, b"", "", b"", b""))
        remove_drafts(Path(path))
        yield  # the hash of its content is unset until it is settled

    def write(
        self, path: str, text: bytes, clip: bytes, request: str, overwrite: Overwrite
    ) -> Written:
        """Write one small file, if it is the export's to write."""
        raw, there = os.fsencode(path), content_of(path)
        row = self._row(raw)
        if row is not None and not row[2]:  # a killed export may have left the draft
            draft_of(path).unlink(missing_ok=True)
        if (left := _left_alone(path, there, text, row, overwrite)) is not None:
            if left is Written.SAME:  # or it would be removed with the clip that it was of
                self._db.execute(_NEW_OWNER, (clip, request, raw, clip, request))
            return left
        former = row[0] if row else b""
        self._db.execute(_PUT, (raw, clip, request, _digest(text), former))
        try:
            put(path, text, is_new=there is None)
        except FileExistsError:
            return Written.FOREIGN
        except OSError as error:
            if error.errno not in _NO_PLACE:
                raise
            return Written.NO_PLACE
        self._db.execute("UPDATE files SET is_done = 1 WHERE path = ?", (raw,))
        return Written.WRITTEN

    def owner(self, path: str) -> tuple[bytes, str] | None:
        """The clip and the request of this file; None if no export wrote it."""
        query = "SELECT clip, request FROM files WHERE path = ?"
        found: tuple[bytes, str] | None = self._db.execute(query, (os.fsencode(path),)).fetchone()
        return found

    def paths(self, clip: bytes, request: str) -> list[bytes]:
        """The files of a clip and request, in the order of their names."""
        query = "SELECT path FROM files WHERE clip = ? AND request = ? ORDER BY path"
        return [row[0] for row in self._db.execute(query, (clip, request))]

    def files(self) -> Iterator[tuple[bytes, bytes, str]]:
        """Path, clip and request of every file; those already yielded may be removed meanwhile."""
        query = "SELECT path, clip, request FROM files WHERE path > ? ORDER BY path LIMIT ?"
        last = b""
        while rows := self._db.execute(query, (last, _PAGE_FILES)).fetchall():
            yield from rows
            last = rows[-1][0]

    def remove(self, path: bytes) -> bool:
        """Remove a file if it is unchanged; return whether it existed."""
        row, there = self._row(path), content_of(os.fsdecode(path))
        if row is None or (there is not None and _digest(there) not in {row[0], row[1]}):
            return False
        with output_errors(Path(os.fsdecode(path))):
            Path(os.fsdecode(path)).unlink(missing_ok=True)
        self._db.execute("DELETE FROM files WHERE path = ?", (path,))
        return there is not None

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Commit once for everything that the block writes; registrations are committed before."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    def digest(self, path: str) -> bytes:
        """The hash of a claimed file's content; empty if unknown."""
        row = self._row(os.fsencode(path))
        return row[0] if row else b""

    def settle(self, path: str, digest: bytes) -> None:
        """Record the hash of a claimed file's content."""
        self._db.execute(
            "UPDATE files SET hash = ?, is_done = 1 WHERE path = ?", (digest, os.fsencode(path))
        )

    def drop(self, path: str) -> None:
        """Remove a claimed file."""
        if self._row(os.fsencode(path)) is not None:
            with output_errors(Path(path)):
                Path(path).unlink(missing_ok=True)
            self._db.execute("DELETE FROM files WHERE path = ?", (os.fsencode(path),))

    def begin_members(self) -> None:
        """Begin to list the members of the shards; members not listed leave their shard."""
        self._open = None
        self._db.execute("UPDATE members SET at = -1")

    def is_member(self, clip: bytes, request: str) -> bool:
        """Whether an earlier export put the clip into a shard."""
        return self._shard_of(clip, request) is not None

    def add_member(self, clip: bytes, request: str, at: int, most: int) -> None:
        """List a member and its line; a new one goes to the last shard with room."""
        shard = self._shard_of(clip, request)
        if shard is None:
            shard = self._last_shard(most)
        self._db.execute(_JOIN, (clip, request, shard, at))

    def end_members(self) -> None:
        """Remove members that were not listed."""
        self._gone = {
            row[0] for row in self._db.execute("SELECT DISTINCT shard FROM members WHERE at = -1")
        }
        self._db.execute("DELETE FROM members WHERE at = -1")

    def shards(self) -> list[int]:
        """The numbers of the shards, including those that lost all members."""
        rows = self._db.execute("SELECT DISTINCT shard FROM members").fetchall()
        return sorted({row[0] for row in rows} | self._gone)

    def members(self, shard: int) -> list[int]:
        """The offsets of the lines of a shard's members."""
        query = "SELECT at FROM members WHERE shard = ? ORDER BY at"
        return [row[0] for row in self._db.execute(query, (shard,))]

    def _shard_of(self, clip: bytes, request: str) -> int | None:
        query = "SELECT shard FROM members WHERE clip = ? AND request = ?"
        found = self._db.execute(query, (clip, request)).fetchone()
        return None if found is None else found[0]

    def _last_shard(self, most: int) -> int:
        """The shard that a new member goes to."""
        if self._open is None:
            query = "SELECT shard, count(*) FROM members GROUP BY shard ORDER BY shard DESC LIMIT 1"
            self._open = self._db.execute(query).fetchone() or (0, 0)
        number, size = self._open
        self._open = (number, size + 1) if size < most else (number + 1, 1)
        return self._open[0]

    def _row(self, path: bytes) -> tuple[bytes, bytes, int] | None:
        query = "SELECT hash, former, is_done FROM files WHERE path = ?"
        found: tuple[bytes, bytes, int] | None = self._db.execute(query, (path,)).fetchone()
        return found


def _left_alone(
    path: str,
    there: bytes | None,
    text: bytes,
    row: tuple[bytes, bytes, int] | None,
    overwrite: Overwrite,
) -> Written | None:
    """Why a file is not written; None if it is. `there` is its content."""
    if there is None:
        is_other = os.path.lexists(path)  # a folder, a link, a pipe
        return Written.FOREIGN if is_other else None
    if there == text:
        return Written.SAME
    if overwrite == "never":
        return Written.KEPT
    if row is None:
        return Written.FOREIGN
    return None if overwrite == "always" or _is_own(there, text, row) else Written.EDITED


def _is_own(there: bytes, text: bytes, row: tuple[bytes, bytes, int]) -> bool:
    """Whether a file is as an export wrote it, or was emptied or cut off by a kill or power cut."""
    known, former, is_done = row
    is_cut_off = not is_done and text.startswith(there)
    return not there or is_cut_off or _digest(there) in {known, former}


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=16).digest()
