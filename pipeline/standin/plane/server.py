"""Runs a stand-in control plane and the deployments it makes, on one real HTTP server."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from aiohttp import web

from pipeline.standin.plane.control import Control
from pipeline.standin.plane.gateway import Gateway
from pipeline.standin.plane.options import PlaneOptions
from pipeline.standin.plane.record import StandinPlane
from pipeline.standin.server import reachable

__all__ = ["serve_plane", "serving_plane"]

_BACKLOG = 1024
_SHUTDOWN_S = 0.1
_CLEANUP_S = 5.0


@asynccontextmanager
async def serving_plane(options: PlaneOptions) -> AsyncIterator[StandinPlane]:
    """Serve until the block ends; what is still in flight is then broken off.

    Raises:
        OSError: the address cannot be bound.
    """
    plane = StandinPlane(options)
    application = web.Application()
    Control(plane).add_to(application)
    Gateway(plane).add_to(application)
    runner = web.AppRunner(
        application, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port, backlog=_BACKLOG).start()
        plane.host, plane.port = reachable(runner.addresses[0])
        yield plane
    finally:
        with anyio.move_on_after(_CLEANUP_S, shield=True):
            await runner.cleanup()
            await plane.ledger.until(lambda ledger: ledger.in_flight == 0)


async def serve_plane(options: PlaneOptions, announce: Callable[[StandinPlane], None]) -> None:
    """Serve until SIGINT or SIGTERM; `announce` is called in a thread once calls are taken.

    Raises:
        OSError: the address cannot be bound.
    """
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with serving_plane(options) as plane:
            await anyio.to_thread.run_sync(announce, plane)
            async for _ in signals:
                return
