"""Runs a stand-in control plane and its deployments on one HTTP server (server's process)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from captionfleet.standin.hosting import hosted, until_signal
from captionfleet.standin.plane.control import Control
from captionfleet.standin.plane.gateway import Gateway
from captionfleet.standin.plane.options import PlaneOptions
from captionfleet.standin.plane.record import StandinPlane

__all__ = ["serve_plane", "serving_plane"]


@asynccontextmanager
async def serving_plane(options: PlaneOptions) -> AsyncIterator[StandinPlane]:
    """Serve until the block ends; requests in flight are then broken off.

    Raises:
        OSError: the address cannot be bound.
    """
    plane = StandinPlane(options)
    application = web.Application()
    Control(plane).add_to(application)
    Gateway(plane).add_to(application)
    async with hosted(application, options.host, options.port, plane.ledger) as address:
        plane.host, plane.port = address
        yield plane


async def serve_plane(options: PlaneOptions, announce: Callable[[StandinPlane], None]) -> None:
    """Serve until SIGINT or SIGTERM; call `announce` in a thread once the server accepts calls.

    Raises:
        OSError: the address cannot be bound.
    """
    await until_signal(serving_plane(options), announce)
