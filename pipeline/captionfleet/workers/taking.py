"""Takes a file out of the reach of the worker that wrote it (main process, in a thread).

A worker decodes untrusted bytes, so what it left may be anything: a link, a FIFO, a file that it
holds open to change it later.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from captionfleet.system.regular_file import open_regular

__all__ = ["NotAsReportedError", "Taken", "copied", "measured", "taken"]

# Errors for a missing file, a link, a FIFO, a socket, or anything but a regular file.
_NO_FILE = {errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EINVAL}
_ANEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


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

    Raises:
        NotAsReportedError: it is not a file of at most `max_bytes` that only the worker had.
        OSError: the file system fails.
    """
    try:
        _move(source, target, max_bytes)
        with os.fdopen(open_regular(target), "rb", buffering=0) as file:
            _require(os.fstat(file.fileno()).st_size <= max_bytes, "left too large a file")
            _require_unshared(file.fileno())
            return measured(file)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise NotAsReportedError("left no file where media should be") from None
        raise


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
        _require(source.lstat().st_size <= max_bytes, "left too large a file")
        copied(source, target)
        source.unlink()


def copied(source: Path, target: Path) -> None:
    """Copy a regular file to an unused name.

    Raises:
        OSError: it is not a regular file, or the file system fails.
    """
    with (
        os.fdopen(open_regular(source), "rb") as read,
        os.fdopen(open_regular(target, _ANEW), "wb") as written,
    ):
        shutil.copyfileobj(read, written)


def _require_unshared(descriptor: int) -> None:
    """Require that the file has one name, and that no process has it open for writing.

    The kernel grants a read lease (fcntl(2), F_SETLEASE) only on a file that no process has open or
    mapped for writing. File systems without leases, as most network ones, cannot check this.
    """
    _require(os.fstat(descriptor).st_nlink == 1, "kept a second name of its file")
    # If the lease is broken, the default signal would end this process.
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        _require(error.errno != errno.EAGAIN, "kept its file open to write")
        return
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def measured(file: FileIO) -> Taken:
    """The facts of an open file; its time is read before its bytes."""
    facts = os.fstat(file.fileno())
    digest = hashlib.file_digest(file, "sha256")
    return Taken(facts.st_size, digest.hexdigest(), facts.st_mtime_ns)
