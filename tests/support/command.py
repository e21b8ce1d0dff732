"""Runs the command as its users do: a process of its own, in a home of its own."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process

from tests.support.forked import Forked, forked

DEADLINE_S = 120.0  # of what must not hang; a busy machine is given time
_LOOK_AGAIN_S = 0.02
_INSIST_AFTER_S = 2.0

Argument = str | bytes | os.PathLike[str]
CommandHere = Callable[..., "Ended"]
"""The command in the process of the test."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it said."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The only line on stderr, without the program's name; nothing else may be there."""
        (line,) = self.stderr.splitlines()
        assert line.startswith("captionfleet: "), line
        return line.removeprefix("captionfleet: ")


@dataclass(slots=True)
class Running:
    """A command under way; its output is collected while it runs."""

    process: Process | Forked
    _stdout: bytearray = field(default_factory=bytearray)
    _stderr: bytearray = field(default_factory=bytearray)
    _collected: anyio.Event = field(default_factory=anyio.Event)

    @property
    def said(self) -> tuple[str, str]:
        """What came on stdout and stderr by now."""
        return self._stdout.decode(), self._stderr.decode()

    def send(self, number: signal.Signals) -> None:
        """Signal the command, which may have ended meanwhile: how it ended is asked later."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    def signal_group(self, number: signal.Signals) -> None:
        """The same to the command and its children, as Ctrl-C on a terminal does."""
        if self.process.returncode is not None:
            return
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:  # it leads no group yet, or is no more
            self.send(number)

    async def insist(self, number: signal.Signals, words: str) -> None:
        """Signal the command, as somebody impatient does, until it answers with these words."""
        while words not in self.said[1]:
            self.send(number)
            with anyio.move_on_after(_INSIST_AFTER_S):
                await self.until(lambda: words in self.said[1])

    def workers(self) -> list[int]:
        """The processes that the command started and that are alive."""
        return [pid for pid in _pids() if parent_of(pid) == self.process.pid]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what can only be seen by looking, such as a line in a file.

        What is seen once counts, even if it passes: a process that is there may be gone.
        """
        is_seen = False

        def is_over() -> bool:
            nonlocal is_seen
            is_seen = holds()
            return is_seen or self.process.returncode is not None

        await until(is_over)
        assert is_seen, self.said

    async def ended(self, within_s: float = DEADLINE_S) -> Ended:
        """Wait for the end."""
        with anyio.fail_after(within_s):
            exit_code = await self.process.wait()
            await self._collected.wait()
        return Ended(exit_code, *self.said)

    async def collect(self) -> None:
        """Read both streams to their end."""
        async with anyio.create_task_group() as readers:
            readers.start_soon(_collect, self.process.stdout, self._stdout)
            readers.start_soon(_collect, self.process.stderr, self._stderr)
        self._collected.set()


@dataclass(frozen=True, slots=True)
class Command:
    """The command, or another Python program, with nothing around it but what a test puts there.

    Where it `is_forked`, off a process that has loaded the command, it is there much sooner, and
    does not show how Python starts it. Its `cache`, where it keeps media, is empty by default.
    """

    folder: Path
    program: Sequence[str] = ("-m", "captionfleet")
    is_forked: bool = False
    cache: Path | None = None

    async def __call__(
        self,
        *arguments: Argument,
        within_s: float = DEADLINE_S,
        variables: Mapping[str, str] | None = None,
        stdin: Path = Path(os.devnull),
    ) -> Ended:
        """Run the command to its end."""
        async with self.started(*arguments, variables=variables, stdin=stdin) as running:
            return await running.ended(within_s)

    @asynccontextmanager
    async def started(
        self,
        *arguments: Argument,
        variables: Mapping[str, str] | None = None,
        stdin: Path = Path(os.devnull),
    ) -> AsyncIterator[Running]:
        """Start the command; what is left of it at the end of the block is killed."""
        start = self._forked if self.is_forked else self._opened
        async with start(arguments, self._environment(variables or {}), stdin) as process:
            running = Running(process)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(running.collect)
                try:
                    yield running
                finally:
                    running.signal_group(signal.SIGKILL)

    def _forked(
        self, arguments: Sequence[Argument], environment: Mapping[str, str], stdin: Path
    ) -> AbstractAsyncContextManager[Forked]:
        return forked(list(map(os.fsdecode, arguments)), self.folder, environment, stdin)

    @asynccontextmanager
    async def _opened(
        self, arguments: Sequence[Argument], environment: Mapping[str, str], stdin: Path
    ) -> AsyncIterator[Process]:
        with stdin.open("rb") as given:
            opening = anyio.open_process(
                [sys.executable, *self.program, *arguments],
                stdin=given,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
            )
            async with await opening as process:
                yield process

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        for name in ("home", "cache", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        own = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "XDG_CACHE_HOME": str(self.cache or self.folder / "cache"),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
        }
        return own | dict(variables)


async def _collect(stream: ByteReceiveStream | None, into: bytearray) -> None:
    assert stream is not None
    async for portion in stream:
        into += portion


async def until(holds: Callable[[], bool], within_s: float = DEADLINE_S) -> None:
    """Wait for what another process does, which no event here can tell."""
    with anyio.fail_after(within_s):
        while not holds():  # noqa: ASYNC110 - nobody here could set an event
            await anyio.sleep(_LOOK_AGAIN_S)


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    return parent_of(pid) is not None


def workers_of(main: int) -> list[int]:
    """The worker processes that this process started and that are there, even if it is gone."""
    name = b"\0captionfleet-worker\0%d\0" % main
    return [pid for pid in _pids() if name in _words_of(pid)]


def _words_of(pid: int) -> bytes:
    """The command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def parent_of(pid: int) -> int | None:
    """The process that a process belongs to; None if it has ended."""
    try:
        # "pid (name) state ppid …"; the name may hold anything but the last ")".
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[1])
