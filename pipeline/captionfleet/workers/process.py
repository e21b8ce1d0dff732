"""Controls one worker process: starts it, gives it orders one by one, ends it (main process)."""

import errno
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic import TypeAdapter, ValidationError

from captionfleet.media.orders import (
    NO_PROGRAM,
    AnyOrder,
    Confine,
    Report,
    SheetOrder,
    files_of,
    source_in,
    without_keys,
)
from captionfleet.media.source_file import Handed, close_all, open_for
from captionfleet.messages.address import is_address
from captionfleet.system.debugging import is_debugging
from captionfleet.system.machine import MAY_PASS, is_thread_refused, no_worker
from captionfleet.telemetry import get_log
from captionfleet.workers.ranges import serving_ranges

__all__ = ["ALLOCATOR", "WorkerDied", "WorkerProcess"]

# The search path is set before anything is imported, so that the worker finds the same code.
_START = f"""
import sys
sys.path[:] = sys.argv[5:]
try:
    from captionfleet.media.entry import serve
except ImportError:
    sys.exit({NO_PROGRAM})
serve(int(sys.argv[2]), int(sys.argv[3]), may_confine=sys.argv[4] == "auto")
"""
_NAME = "captionfleet-worker"
_NO_PROGRAM_WORDS = (
    "its own files are gone, or do not load: was the installation moved, or upgraded, or is "
    "[workers] memory_bytes too little? run again"
)
# Environment variables for a process that decodes untrusted bytes: no key is among them.
_ENVIRONMENT = (
    "GLIBC_TUNABLES", "LANG", "LC_", "LD_", "MALLOC_", "PATH", "PYTHON", "TZ",
)  # fmt: skip
# With these, glibc keeps a clip's buffers for the next clip. Otherwise it gives them back, and a
# short clip spends a twentieth of its CPU on getting them again. 32 MiB is the most it accepts.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**26)}
_MAX_REPORT_BYTES = 2**22
_LEAVE_S = 2.0
_BURY_S = 10.0
_PAUSES_S = (0.5, 1.0, 2.0, 4.0)  # a refused process may be allowed once others end

_reports: TypeAdapter[Report] = TypeAdapter(Report)


class WorkerDied(Exception):  # noqa: N818 - says what happened
    """Raised when a worker process ended before it reported; `how` is for people."""

    def __init__(self, returncode: int | None) -> None:
        super().__init__(returncode)
        self.returncode = returncode
        self.is_out_of_cpu_time = returncode == -signal.SIGXCPU
        self.found_no_program = returncode == NO_PROGRAM
        self.how = _how_it_ended(returncode)


def _how_it_ended(returncode: int | None) -> str:
    if returncode is None:
        return "sent something other than a report"
    if returncode >= 0:
        return f"ended with code {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"


class WorkerProcess:
    """A process that starts with its first order, and again after it died or was retired."""

    def __init__(self, *, confine: Confine = "auto") -> None:
        self._confine = confine
        self._process: Process | None = None
        self._handover: socket.socket | None = None
        # A dead network disk must not block the threads that write captions.
        self._opening = anyio.CapacityLimiter(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                await self.retire()
        finally:
            await self.kill()

    @property
    def is_started(self) -> bool:
        """Whether the next order goes to a process that had one before."""
        return self._process is not None

    async def work_on(self, order: AnyOrder) -> Report:
        """Carry out an order; when cancelled, the process is dead before this returns.

        Raises:
            WorkerDied: it ended before it reported.
            MachineError: no process can be started.
        """
        try:
            async with self._opened(order) as files:
                said = _counts(files)
                try:
                    process = self._process = self._process or await self._start()
                    if descriptors := _descriptors(files):
                        assert self._handover is not None  # noqa: S101 - it came with the process
                        socket.send_fds(self._handover, [b"\0"], descriptors)
                finally:
                    close_all(files)  # the worker has its own now; many workers hold many
                return await _ask(process, order, said)
        except (OSError, anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
            await self._let_end(_LEAVE_S)
            death = WorkerDied(await self.kill())
            if death.found_no_program:
                raise no_worker(None, _NO_PROGRAM_WORDS) from None
            raise death from None
        except (anyio.DelimiterNotFound, ValidationError):
            await self.kill()
            raise WorkerDied(None) from None
        except BaseException:
            await self.kill()
            raise

    async def retire(self) -> None:
        """Let an idle process end by itself."""
        if self._process is not None and self._process.stdin is not None:
            await self._process.stdin.aclose()
            await self._let_end(_LEAVE_S)
        await self.kill()

    async def kill(self) -> int | None:
        """End the process in any state; return its exit code as `subprocess` has it."""
        process, self._process = self._process, None
        if self._handover is not None:
            self._handover.close()
            self._handover = None
        if process is None:
            return None
        with anyio.CancelScope(shield=True):
            # Not process.kill(): that reaps the process, and asyncio then warns that it is gone.
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            # A process that hangs in the kernel, on a dead network disk, may never end.
            with anyio.move_on_after(_BURY_S):
                await process.wait()
                await process.aclose()
        return process.returncode

    async def _let_end(self, seconds: float) -> None:
        if self._process is not None:
            with anyio.move_on_after(seconds):
                await self._process.wait()

    @asynccontextmanager
    async def _opened(self, order: AnyOrder) -> AsyncIterator[Handed]:
        """Open the files that an order names, to be closed: a confined worker opens none.

        Objects are served during the block.
        """
        source = source_in(order)
        if source is not None and is_address(source.path):
            async with serving_ranges(source) as descriptor:
                yield {source.path: [descriptor]}
            return
        opening = partial(open_for, files_of(order), follow_links=not isinstance(order, SheetOrder))
        yield await anyio.to_thread.run_sync(opening, limiter=self._opening, abandon_on_cancel=True)

    async def _start(self) -> Process:
        self._handover, theirs = socket.socketpair()
        with theirs:
            self._handover.settimeout(0)
            self._handover.shutdown(socket.SHUT_RD)  # a worker writes nothing there
            return await _start(theirs.fileno(), self._confine)


async def _start(handover: int, confine: Confine) -> Process:
    """Start a process; retry for some seconds if a limit refuses it.

    Raises:
        MachineError: no process can be started.
    """
    for pause_s in _PAUSES_S:
        try:
            return await _open(handover, confine)
        except OSError as error:
            if error.errno not in MAY_PASS:
                raise no_worker(error.errno) from None
            get_log().warning("no worker process yet, trying again", reason=error.strerror)
        await anyio.sleep(pause_s)
    try:
        return await _open(handover, confine)
    except OSError as error:
        raise no_worker(error.errno) from None


async def _open(handover: int, confine: Confine) -> Process:
    own = [_NAME, str(os.getpid()), str(handover), confine]
    command = [
        sys.executable,
        "-P",
        "-c",
        _START,
        *own,
        *await anyio.to_thread.run_sync(_search_path),
    ]
    try:
        return await anyio.open_process(
            command,
            stderr=None if is_debugging() else subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
            pass_fds=(handover,),
        )
    except RuntimeError as error:  # a process started, but no thread to wait for it
        if is_thread_refused(error):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
        raise


def _search_path() -> list[str]:
    """Where a worker looks for code: not in the working directory, which may hold films.

    A checkout that runs from its own folder stays importable, after everything else.
    """
    here = ""
    with suppress(FileNotFoundError):  # the working directory may be deleted
        here = str(Path.cwd())
    home = str(Path(__file__).parents[2])
    return [*(one for one in sys.path if one not in {"", ".", here, home}), home]


def _environment() -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if name.startswith(_ENVIRONMENT)}
    return ALLOCATOR | given


def _descriptors(files: Handed) -> list[int]:
    return [one for opened in files.values() if isinstance(opened, list) for one in opened]


def _counts(files: Handed) -> dict[str, int]:
    """How many descriptors of each file are handed over, below zero, or why there is none."""
    return {
        path: opened if isinstance(opened, int) else -len(opened) for path, opened in files.items()
    }


async def _ask(process: Process, order: AnyOrder, said: dict[str, int]) -> Report:
    assert process.stdin is not None  # noqa: S101 - pipes were asked for
    assert process.stdout is not None  # noqa: S101 - same
    for part in (without_keys(order), said):
        await process.stdin.send(pickle.dumps(part, pickle.HIGHEST_PROTOCOL))
    reports = BufferedByteReceiveStream(process.stdout)
    return _reports.validate_json(await reports.receive_until(b"\n", _MAX_REPORT_BYTES))
