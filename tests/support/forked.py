"""The command as a fork of a process that has loaded it; see `tests.support.loaded`."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream

from tests.support.loaded import MOST_BYTES

_ROOT = Path(__file__).parents[2]
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class _Pipe(ByteReceiveStream):
    """The end of a pipe to read from."""

    descriptor: int

    async def receive(self, max_bytes: int = MOST_BYTES) -> bytes:
        await anyio.wait_readable(self.descriptor)
        data = os.read(self.descriptor, max_bytes)
        if not data:
            raise anyio.EndOfStream
        return data

    async def aclose(self) -> None:
        os.close(self.descriptor)


@dataclass(slots=True)
class Forked:
    """A process as `anyio.open_process` gives it, as far as the tests use it."""

    pid: int
    stdout: ByteReceiveStream
    stderr: ByteReceiveStream
    returncode: int | None = None
    _ended: anyio.Event = field(default_factory=anyio.Event)

    async def wait(self) -> int:
        """The exit code, negative if a signal ended the process."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    async def watch(self, told: ByteReceiveStream) -> None:
        """Wait for its exit code to be told."""
        self.returncode = await _number(told)
        self._ended.set()


async def _number(told: ByteReceiveStream) -> int:
    line = b""
    while not line.endswith(b"\n"):
        line += await told.receive(1)
    return int(line)


@asynccontextmanager
async def forked(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: Path
) -> AsyncIterator[Forked]:
    """The command with these arguments; the end of the block waits for its end."""
    order = {
        "arguments": arguments,
        "folder": str(folder),
        "environment": environment,
        "stdin": str(stdin),
    }
    with _pipes(3) as (reading, writing):
        try:
            socket.send_fds(_loaded(), [json.dumps(order).encode()], writing)
        finally:
            for descriptor in writing:
                os.close(descriptor)
        stdout, stderr, told = map(_Pipe, reading)
        with anyio.fail_after(_START_S):
            process = Forked(await _number(told), stdout, stderr)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(process.watch, told)
            yield process


@contextmanager
def _pipes(count: int) -> Iterator[tuple[list[int], list[int]]]:
    """So many pipes: the ends to read from, which are closed at the end, and those to write to."""
    pairs = [os.pipe() for _ in range(count)]
    try:
        yield [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    finally:
        for reading, _ in pairs:
            os.close(reading)


@cache
def _loaded() -> socket.socket:
    """Where the process that has loaded the command takes orders."""
    orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.loaded"],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            cwd=_ROOT,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            start_new_session=True,
        )
    atexit.register(_end, process, orders)
    return orders


def _end(process: "subprocess.Popen[bytes]", orders: socket.socket) -> None:
    orders.close()
    process.wait(_START_S)
