"""Takes a file out of the reach of the worker that wrote it (main process, in a thread).

A worker decodes untrusted bytes, so what it left may be anything: a link, a FIFO, a file that it
holds open to change it later.
"""

import errno
import fcntl
import hashlib
import os
import secrets
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from captionfleet.system.regular_file import open_regular

__all__ = ["NotAsReportedError", "Taken", "copied", "measured", "replaced_by_copy", "taken"]

# Errors for a missing file, a link, a FIFO, a socket, or anything but a regular file.
_NO_FILE = {errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EINVAL}
_ANEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_CHUNK_BYTES = 2**20  # as few calls as a network file system needs, and little memory


class NotAsReportedError(Exception):
    """Raised when a worker did not leave what it reports; the message completes "it …"."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A file's own facts, as they were when it was hashed."""

    size_bytes: int
    sha256: str
    mtime_ns: int


def taken(source: Path, target: Path, max_bytes: int) -> Taken:
    """Move a worker's file to where no worker writes, and hash it once no process can change it.

    Where the kernel cannot vouch for the latter, the file is replaced by a copy, which no worker
    has opened.

    Raises:
        NotAsReportedError: it is not a file of at most `max_bytes` with one name.
        OSError: the file system fails.
    """
    try:
        _move(source, target, max_bytes)
        with _opened(target) as file:
            facts = os.fstat(file.fileno())
            _require(facts.st_size <= max_bytes, "left too large a file")
            _require(facts.st_nlink == 1, "kept a second name of its file")
            if _is_at_rest(file.fileno()):
                return measured(file)
        # Closed by now: NFS and SMB cannot remove a file that is open here, only rename it.
        replaced_by_copy(target, target, max_bytes)
        with _opened(target) as file:
            return measured(file)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise NotAsReportedError("left no file where media should be") from None
        raise


def _opened(path: Path) -> FileIO:
    return os.fdopen(open_regular(path), "rb", buffering=0)


def _require(is_so: bool, fault: str) -> None:  # noqa: FBT001 - the condition itself
    if not is_so:
        raise NotAsReportedError(fault)


def _move(source: Path, target: Path, max_bytes: int) -> None:
    """Rename, which copies nothing; copy into another file system."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        replaced_by_copy(source, target, max_bytes)
        source.unlink()


def replaced_by_copy(source: Path, target: Path, max_bytes: int = sys.maxsize) -> None:
    """Put a copy in the target's place, atomically; it may be the source's place.

    Raises:
        NotAsReportedError: the source is larger than `max_bytes`.
        OSError: it is not a regular file, or the file system fails; the target is as it was.
    """
    beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}.new")
    try:
        copied(source, beside, max_bytes)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def copied(source: Path, target: Path, max_bytes: int = sys.maxsize) -> None:
    """Copy a regular file to an unused name.

    Raises:
        NotAsReportedError: it is larger than `max_bytes`, or grows beyond that meanwhile.
        OSError: it is not a regular file, or the file system fails.
    """
    with _opened(source) as read, os.fdopen(open_regular(target, _ANEW), "wb") as written:
        left_bytes = max_bytes
        while chunk := read.read(min(_CHUNK_BYTES, left_bytes + 1)):
            left_bytes -= len(chunk)
            _require(left_bytes >= 0, "left too large a file")
            written.write(chunk)


def _is_at_rest(descriptor: int) -> bool:
    """Whether the kernel vouches that no process has the file open or mapped for writing.

    If so, it grants a read lease (fcntl(2), F_SETLEASE). A refusal proves nothing: NFSv4 without a
    delegation and SMB without an oplock answer EAGAIN, as for a file that is open for writing, and
    other file systems know no leases.
    """
    try:
        # If the lease is broken, the default signal would end this process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        return False
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def measured(file: FileIO) -> Taken:
    """The facts of an open file; its time is read before its bytes."""
    facts = os.fstat(file.fileno())
    digest = hashlib.file_digest(file, "sha256")
    return Taken(facts.st_size, digest.hexdigest(), facts.st_mtime_ns)
