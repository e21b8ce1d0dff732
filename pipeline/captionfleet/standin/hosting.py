"""Runs a stand-in on a real HTTP server, until a block ends or a signal comes."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import anyio
from aiohttp import web

from captionfleet.standin.ledger import Ledger

__all__ = ["hosted", "until_signal"]

_BACKLOG = 1024
_SHUTDOWN_S = 0.1
_CLEANUP_S = 5.0

_T = TypeVar("_T")


@asynccontextmanager
async def hosted(
    application: web.Application, host: str, port: int, ledger: Ledger
) -> AsyncIterator[tuple[str, int]]:
    """Serve until the block ends; requests in flight are then broken off.

    Yields:
        Host and port, as in a URL on this machine.

    Raises:
        OSError: the address cannot be bound.
    """
    runner = web.AppRunner(
        application,
        access_log=None,
        handler_cancellation=True,  # a client that leaves frees its slot
        shutdown_timeout=_SHUTDOWN_S,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
        except OverflowError:
            raise OSError(f"{port} is not a port") from None
        yield _reachable(runner.addresses[0])
    finally:
        with anyio.move_on_after(_CLEANUP_S, shield=True):
            await runner.cleanup()
            await ledger.until(lambda ledger: ledger.in_flight == 0)


async def until_signal(
    serving: AbstractAsyncContextManager[_T], announce: Callable[[_T], None]
) -> None:
    """Serve until SIGINT or SIGTERM; call `announce` in a thread once the server accepts calls."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with serving as served:
            await anyio.to_thread.run_sync(announce, served)
            async for _ in signals:
                return


def _reachable(address: tuple[str, int]) -> tuple[str, int]:
    host, port, *_ = address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 -- compared, not bound
    return f"[{host}]" if ":" in host else host, port
