"""Writes files that survive a crash: whole lines, atomic replacement, fsync (main, in threads)."""

import errno
import os
import re
import secrets
import stat
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from captionfleet.errors import OutputError
from captionfleet.ledger.files.reading import is_record, raw_lines
from captionfleet.messages import MAX_LINE_BYTES, printable
from captionfleet.system.regular_file import open_regular
from captionfleet.telemetry import wall_ns

__all__ = [
    "AppendFile",
    "after_last_newline",
    "create_folder",
    "followed",
    "output_errors",
    "remove_old_drafts",
    "replace_atomically",
    "sync_folder",
]

_APPENDING = os.O_RDWR | os.O_APPEND | os.O_CREAT
_DRAFTING = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_DRAFT = re.compile(r"\..+\.(?:[0-9a-f]{16}\.)?new")  # names without digits are of earlier versions
_OLD_NS = 3600 * 10**9  # an hour: a draft that is in use changes all the time
_CHUNK_BYTES = 1 << 16
_HEAD_BYTES = 1 << 12
_HINTS = {
    errno.ENOSPC: "free some space and run again, it goes on where it stopped",
    errno.EDQUOT: "free some space and run again, it goes on where it stopped",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.EEXIST: "a file is in the folder's place",
    errno.ENOTDIR: "a file is in the folder's place",
}


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn operating-system errors into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0)
        advice = f" ({hint})" if hint else ""
        where = printable(os.fspath(path))
        raise OutputError(f"cannot write {where}: {error.strerror or error}{advice}") from error


def create_folder(folder: Path) -> None:
    """Create the folder and its parents, durably."""
    with output_errors(folder):
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems know no fsync of folders
            raise
    finally:
        os.close(handle)


def followed(path: Path) -> Path:
    """The file behind a name: a link's target, if the user made the link.

    A link may also come from an archive or another user, and name any file of this user, such as
    ~/.bashrc. A link counts as the user's own if link and target belong to the user who runs this,
    or to root, and both names have the same ending (captions.jsonl -> /big/beach.jsonl).

    Raises:
        OSError: it is a link that is not the user's own.
    """
    try:
        link = path.lstat()
    except FileNotFoundError:
        return path
    if not stat.S_ISLNK(link.st_mode):
        return path
    target = Path(os.path.realpath(path))
    owners = {link.st_uid, *_owner(target)}
    if target.suffix == path.suffix and owners <= {os.geteuid(), 0}:
        return target
    where = printable(os.fspath(target))
    raise OSError(
        errno.ELOOP,
        f"it is a link to {where}; only your own links to {path.suffix} files of yours count",
    )


def _owner(path: Path) -> set[int]:
    with suppress(FileNotFoundError):  # does not exist yet
        return {path.stat().st_uid}
    return set()


def _replaced(path: Path) -> Path:
    """The file to replace: the target of the user's own link, or the foreign link itself."""
    try:
        return followed(path)
    except OSError:
        return path


def remove_old_drafts(folder: Path) -> None:
    """Remove drafts that killed writers left behind."""
    with suppress(OSError), os.scandir(folder) as found:
        for file in found:
            if _DRAFT.fullmatch(file.name):
                with suppress(OSError):
                    age_ns = wall_ns() - file.stat(follow_symlinks=False).st_mtime_ns
                    if age_ns > _OLD_NS:
                        Path(file).unlink()


def replace_atomically(path: Path, chunks: Iterator[bytes]) -> None:
    """Replace a file; readers see the old content or the new one, also after a crash.

    The draft has an unpredictable name and is created exclusively, so that it cannot be a link.
    """
    with output_errors(path):
        path = _replaced(path)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
        try:
            with os.fdopen(open_regular(draft, _DRAFTING), "wb") as file:
                file.writelines(chunks)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


class AppendFile:
    """A file of lines, each appended by one write, completely or not at all.

    Opening it cuts off a last line that a crash tore, and saves that in `NAME.torn-TIME`; a line
    that lacks only its newline gets one. All methods block, and raise OutputError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn_lines = 0
        with output_errors(path):
            self._real = followed(path)
            self._handle = open_regular(self._real, _APPENDING)
            try:
                self._check()
                self._repair()
                os.fsync(self._handle)
                sync_folder(self._real.parent)
            except BaseException:
                os.close(self._handle)
                raise

    def append(self, line: bytes) -> int:
        """Write a line and return its offset; a failure leaves no part of it."""
        with output_errors(self.path):
            facts = os.fstat(self._handle)
            if not self._is_in_place(facts):
                raise OSError(errno.ENOENT, "it was moved or removed during the run")
            try:
                self._write(line)
            except BaseException:
                os.ftruncate(self._handle, facts.st_size)
                raise
            return facts.st_size

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """All lines with their offsets; an overlong line comes in pieces."""
        with output_errors(self.path):
            yield from raw_lines(self.path)

    def rewrite(self, lines: Iterator[bytes]) -> None:
        """Replace the whole file atomically, and append to the new one from now on."""
        replace_atomically(self._real, lines)
        with output_errors(self.path):
            handle = open_regular(self._real, _APPENDING)
        os.close(self._handle)
        self._handle = handle

    def sync(self) -> None:
        """Flush everything appended to the disk."""
        with output_errors(self.path):
            os.fsync(self._handle)

    def close(self) -> None:
        """Close the file without syncing it."""
        os.close(self._handle)

    def _is_in_place(self, facts: os.stat_result) -> bool:
        try:
            return os.path.samestat(facts, self.path.stat())
        except FileNotFoundError:
            return False

    def _check(self) -> None:
        if not _is_text(os.pread(self._handle, _HEAD_BYTES, 0)):
            raise OSError(errno.EINVAL, "it is compressed or not UTF-8: restore it and run again")

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._handle, rest) :]

    def _repair(self) -> None:
        size_bytes = os.fstat(self._handle).st_size
        torn_at = after_last_newline(self._handle, size_bytes)
        if torn_at == size_bytes:
            return
        self.torn_lines = 1
        if is_record(os.pread(self._handle, MAX_LINE_BYTES, torn_at)):
            self._write(b"\n")
            return
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        kept = self.path.with_name(f"{self.path.name}.torn-{now}")
        replace_atomically(kept, self._chunks(torn_at))
        os.ftruncate(self._handle, torn_at)

    def _chunks(self, offset: int) -> Iterator[bytes]:
        while chunk := os.pread(self._handle, _CHUNK_BYTES, offset):
            yield chunk
            offset += len(chunk)


def after_last_newline(handle: int, end: int) -> int:
    """The end of the last whole line in an open file's first `end` bytes."""
    while end:
        start = max(0, end - _CHUNK_BYTES)
        newline = os.pread(handle, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _is_text(head: bytes) -> bool:
    # A power cut may leave zeros at the end; the last character may be cut in the middle.
    head = head.rstrip(b"\0")
    try:
        getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head
