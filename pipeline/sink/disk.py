"""Files that survive a crash: whole lines, atomic replacement, errors that help (threads)."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson

from pipeline.errors import OutputError
from pipeline.messages import MAX_LINE_BYTES, printable

__all__ = ["AppendFile", "create_folder", "output_errors", "replace_atomically", "sync_folder"]

# Read and write, not to wait for a reader where somebody put a FIFO.
_APPENDING = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
_CHUNK_BYTES = 1 << 16
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
    """Turn the system's errors into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0)
        advice = f" ({hint})" if hint else ""
        where = printable(os.fspath(path))
        raise OutputError(f"cannot write {where}: {error.strerror or error}{advice}") from error


def create_folder(folder: Path) -> None:
    """Make the folder and its parents, durably."""
    with output_errors(folder):
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems know no fsync of folders
            raise
    finally:
        os.close(handle)


def replace_atomically(path: Path, chunks: Iterator[bytes]) -> None:
    """Write a file anew; whoever reads it sees the old or the new one, also after a crash."""
    draft = path.with_name(f".{path.name}.new")
    with output_errors(path):
        try:
            with draft.open("wb") as file:
                file.writelines(chunks)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


class AppendFile:
    """A file of lines, each appended by one write and wholly there or not at all.

    A last line that a crash tore is cut off on opening and kept beside the file, in
    `NAME.torn-TIME`; one that lacks only its newline gets it. All methods block, and raise
    OutputError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn_lines = 0
        with output_errors(path):
            self._handle = os.open(path, _APPENDING, 0o666)
            try:
                self._check()
                self._repair()
                os.fsync(self._handle)
                sync_folder(path.parent)
            except BaseException:
                os.close(self._handle)
                raise

    def append(self, line: bytes) -> int:
        """Write a line, return where it begins; if that fails, nothing of it stays."""
        with output_errors(self.path):
            facts = os.fstat(self._handle)
            if not self._is_in_place(facts):
                raise OSError(errno.ENOENT, "somebody moved or removed it while the run writes")
            try:
                self._write(line)
            except BaseException:
                os.ftruncate(self._handle, facts.st_size)
                raise
            return facts.st_size

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """All lines with their offsets; one of absurd length comes in pieces."""
        offset = 0
        with output_errors(self.path), self.path.open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES):
                yield offset, line
                offset += len(line)

    def rewrite(self, lines: Iterator[bytes]) -> None:
        """Replace the whole file atomically, and append to the new one from now on."""
        replace_atomically(self.path, lines)
        with output_errors(self.path):
            handle = os.open(self.path, _APPENDING, 0o666)
        os.close(self._handle)
        self._handle = handle

    def sync(self) -> None:
        """Bring everything appended to the disk."""
        with output_errors(self.path):
            os.fsync(self._handle)

    def close(self) -> None:
        """Close the file, not syncing it."""
        os.close(self._handle)

    def _is_in_place(self, facts: os.stat_result) -> bool:
        try:
            return os.path.samestat(facts, self.path.stat())
        except FileNotFoundError:
            return False

    def _check(self) -> None:
        if not stat.S_ISREG(os.fstat(self._handle).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._handle, rest) :]

    def _repair(self) -> None:
        size_bytes = os.fstat(self._handle).st_size
        torn_at = self._after_last_newline(size_bytes)
        if torn_at == size_bytes:
            return
        self.torn_lines = 1
        if _is_record(os.pread(self._handle, MAX_LINE_BYTES, torn_at)):
            self._write(b"\n")
            return
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        kept = self.path.with_name(f"{self.path.name}.torn-{now}")
        replace_atomically(kept, self._chunks(torn_at))
        os.ftruncate(self._handle, torn_at)

    def _after_last_newline(self, end: int) -> int:
        while end:
            start = max(0, end - _CHUNK_BYTES)
            newline = os.pread(self._handle, end - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0

    def _chunks(self, offset: int) -> Iterator[bytes]:
        while chunk := os.pread(self._handle, _CHUNK_BYTES, offset):
            yield chunk
            offset += len(chunk)


def _is_record(text: bytes) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False
