"""Serves byte ranges of an object to a worker over a socket (main process).

The worker has read untrusted bytes, so its requests are checked: they concern the one object of its
order, and are bounded.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import TaskGroup

from captionfleet.errors import ConfigError, FailureCode
from captionfleet.media.ranges import ANSWER, ASK, MOST_BYTES
from captionfleet.messages import Source
from captionfleet.messages.address import parse_address
from captionfleet.storage import ObjectFacts, StorageError, read_range

__all__ = ["serving_ranges"]

_Span = tuple[int, int]


@asynccontextmanager
async def serving_ranges(source: Source) -> AsyncIterator[int]:
    """Serve this object during the block; yields the worker's end of a socket, to be closed."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003 - a C function
    problem: BaseException | None = None
    with ours, theirs:
        async with anyio.create_task_group() as group:
            group.start_soon(_serve, ours, _Parts(source, group))
            try:
                yield theirs.detach()
            except Exception as error:  # noqa: BLE001 - raised as it is, below, and in no group
                problem = error
            group.cancel_scope.cancel()
    if problem is not None:
        raise problem


async def _serve(ours: socket.socket, parts: "_Parts") -> None:
    """Answer requests until one is invalid, or the worker is gone."""
    with suppress(OSError, EOFError):
        while True:
            start, length, after = ASK.unpack(await _receive(ours, ASK.size))
            if not parts.holds(start, length) or after > MOST_BYTES:
                ours.shutdown(socket.SHUT_RDWR)
                return
            try:
                body, status = await parts.get(start, start + length), 0
            except StorageError as error:
                body, status = f"{error.code}\n{error.detail}".encode(), -1
            if not status and after and parts.holds(start + length, after):
                parts.fetch_ahead(start + length, start + length + after)
            await _send(ours, ANSWER.pack(status, len(body)))
            await _send(ours, body)


class _Parts:
    """Parts of one object, with at most one fetched ahead of its request."""

    def __init__(self, source: Source, group: TaskGroup) -> None:
        self._address = parse_address(source.opens or source.path)
        self._facts = ObjectFacts(source.size_bytes, source.mtime_ns, source.time_version)
        self._group = group
        self._ahead: _Ahead | None = None

    def holds(self, start: int, length: int) -> bool:
        """Whether the part exists and may be requested."""
        return 0 < length <= MOST_BYTES and start + length <= self._facts.size_bytes

    async def get(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`.

        Raises:
            StorageError: they cannot be fetched.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.span == (start, end):
            await ahead.done.wait()
            if ahead.body is not None:
                return ahead.body
        elif ahead is not None:
            ahead.scope.cancel()
        try:
            return await read_range(self._address, self._facts, start, end)
        except ConfigError as error:  # the library is gone since the run began
            raise StorageError(FailureCode.SOURCE_UNREADABLE, str(error)) from None

    def fetch_ahead(self, start: int, end: int) -> None:
        """Start to fetch the part that will probably be requested next."""
        self._ahead = _Ahead((start, end))
        self._group.start_soon(self._fill, self._ahead)

    async def _fill(self, ahead: "_Ahead") -> None:
        with ahead.scope:
            try:
                ahead.body = await read_range(self._address, self._facts, *ahead.span)
            except (StorageError, ConfigError):
                pass  # it is fetched again if it is requested
            finally:
                ahead.done.set()


class _Ahead:
    """A part being fetched; `body` stays None if that fails."""

    def __init__(self, span: _Span) -> None:
        self.span = span
        self.body: bytes | None = None
        self.done = anyio.Event()
        self.scope = anyio.CancelScope()


async def _receive(ours: socket.socket, size_bytes: int) -> bytes:
    received = bytearray()
    while len(received) < size_bytes:
        try:
            part = ours.recv(size_bytes - len(received))
        except BlockingIOError:
            await anyio.wait_readable(ours)
            continue
        if not part:
            raise EOFError
        received += part
    return bytes(received)


async def _send(ours: socket.socket, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[ours.send(rest) :]
        except BlockingIOError:
            await anyio.wait_writable(ours)
