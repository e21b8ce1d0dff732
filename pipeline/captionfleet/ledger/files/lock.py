"""Locks the output folder, so that only one run writes to it (main process, in a thread)."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from captionfleet.errors import OutputError
from captionfleet.ledger.files.disk import output_errors, replace_atomically
from captionfleet.ledger.files.names import LOCK, LOCK_HOLDER
from captionfleet.messages import printable
from captionfleet.system.regular_file import open_regular
from captionfleet.telemetry import utc_now

__all__ = ["FolderLock", "RunLock"]

_MAX_HOLDER_BYTES = 1000


class FolderLock:
    """An advisory lock that ends with its process, also if that is killed.

    It locks `.lock`, and, where the file system can, the folder itself, because someone may remove
    `.lock`. It leaves `.lock-holder.json` as it is: that names a run that goes on, or did not end.

    Raises:
        OutputError: another run holds the folder, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._holder = folder / LOCK_HOLDER
        self._descriptor = -1
        # Acquired and released in different threads, so the lock must not belong to one.
        self._lock = FileLock(folder / LOCK, thread_local=False)
        with output_errors(folder / LOCK):
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise OutputError(self._held_message(folder)) from None
        try:
            self._lock_folder(folder)
        except BaseException:
            self._let_go()
            raise

    def release(self) -> None:
        """Release the folder for the next run."""
        self._let_go()

    def _lock_folder(self, folder: Path) -> None:
        """Lock the folder itself; network file systems can lock only files."""
        with output_errors(folder):
            self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(self._held_message(folder)) from None
        except OSError:
            pass

    def _let_go(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._lock.release()

    def _held_message(self, folder: Path) -> str:
        where = printable(os.fspath(folder))
        return (
            f"another run{self._holder_mark()} holds {where}: "
            f"wait until it ends, or choose another output folder{_advice(folder / '.lock')}"
        )

    def _holder_mark(self) -> str:
        try:
            mark = orjson.loads(self._raw_mark())
            pid, host, since = (_word(mark[key]) for key in ("pid", "host", "since_utc"))
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        if host == os.uname().nodename and _is_gone(mark["pid"]):
            return ""  # a killed run left the mark, and what holds the folder now has none
        return f" (pid {pid} on host {host} since {since})"

    def _raw_mark(self) -> bytes:
        with os.fdopen(open_regular(self._holder), "rb") as file:
            return file.read(_MAX_HOLDER_BYTES)


class RunLock(FolderLock):
    """The lock of a run, which `.lock-holder.json` names until run.json says how the run ended.

    So that file stays behind where a run did not end. A run that is released before `begin`, as it
    is refused, leaves there what it found.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._own = _own_mark()
        self._left = b""
        try:
            with suppress(OSError):
                self._left = self._raw_mark()
            replace_atomically(self._holder, iter([self._own]))
        except BaseException:
            self._let_go()
            raise

    def begin(self) -> None:
        """From now on the folder holds a run that has not ended."""
        self._left = self._own

    def end(self) -> None:
        """run.json says how the run ended."""
        self._left = b""

    def release(self) -> None:
        """Release the folder for the next run."""
        try:
            if not self._left:
                with output_errors(self._holder):
                    self._holder.unlink(missing_ok=True)
            elif self._left != self._own:
                with suppress(OutputError):  # then its own mark stays, which says the same
                    replace_atomically(self._holder, iter([self._left]))
        finally:
            super().release()


def _advice(lock: Path) -> str:
    # Where the file system has no locks, a file with its holder's name replaces one.
    try:
        is_soft = lock.stat().st_size > 0
    except OSError:
        return ""
    return "; if that machine is gone for good, remove .lock there" if is_soft else ""


def _is_gone(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False


def _word(value: object) -> str:
    return "".join(character for character in str(value) if character.isprintable())[:80]


def _own_mark() -> bytes:
    mark = {"pid": os.getpid(), "host": os.uname().nodename, "since_utc": utc_now()}
    return orjson.dumps(mark, option=orjson.OPT_APPEND_NEWLINE)
