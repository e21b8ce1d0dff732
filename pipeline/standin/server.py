"""Runs a stand-in deployment: a real HTTP server, in the caller's process or as a command."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
import orjson
from aiohttp import web

from pipeline.standin.ledger import Ledger, RequestRecord
from pipeline.standin.options import StandinOptions
from pipeline.standin.refusals import RefusedError
from pipeline.standin.replica import Replica

__all__ = ["Standin", "reachable", "serve", "serving"]

_PREFIXES = ("/v1", "/inference/v1")
_BACKLOG = 1024
_SHUTDOWN_S = 0.1
_CLEANUP_S = 5.0


@dataclass(frozen=True, slots=True)
class Standin:
    """A running stand-in."""

    host: str
    port: int
    ledger: Ledger

    @property
    def base_url(self) -> str:
        """What a client puts before "/chat/completions"."""
        return f"http://{self.host}:{self.port}/v1"

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The latest requests that are over, in the order they ended."""
        return tuple(self.ledger.records)


@asynccontextmanager
async def serving(options: StandinOptions) -> AsyncIterator[Standin]:
    """Serve until the block ends; requests still in flight are then broken off.

    Raises:
        OSError: the address cannot be bound.
    """
    replica = Replica(options)
    runner = web.AppRunner(
        _application(replica),
        access_log=None,
        handler_cancellation=True,  # a client that leaves frees its slot
        shutdown_timeout=_SHUTDOWN_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port, backlog=_BACKLOG).start()
        yield Standin(*reachable(runner.addresses[0]), replica.ledger)
    finally:
        with anyio.move_on_after(_CLEANUP_S, shield=True):
            await runner.cleanup()
            await replica.ledger.until(lambda ledger: ledger.in_flight == 0)


async def serve(options: StandinOptions, announce: Callable[[Standin], None]) -> None:
    """Serve until SIGINT or SIGTERM; `announce` is called in a thread once connections are taken.

    Raises:
        OSError: the address cannot be bound.
    """
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with serving(options) as standin:
            await anyio.to_thread.run_sync(announce, standin)
            async for _ in signals:
                return


def reachable(address: tuple[str, int]) -> tuple[str, int]:
    """Return host and port as a URL on this machine has them."""
    host, port, *_ = address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 -- compared, not bound
    return f"[{host}]" if ":" in host else host, port


def _application(replica: Replica) -> web.Application:
    application = web.Application()
    for prefix in _PREFIXES:
        application.router.add_post(f"{prefix}/chat/completions", replica.chat)
        application.router.add_get(f"{prefix}/models", partial(_models, replica))
    application.router.add_get("/health", _health)
    application.router.add_get("/stats", partial(_stats, replica))
    return application


async def _models(replica: Replica, request: web.Request) -> web.Response:
    try:
        replica.check_key(request)
    except RefusedError as error:
        return replica.refused(error.refusal, "models")
    listed = [{"id": name, "object": "model", "created": 0} for name in replica.options.models]
    return _json({"object": "list", "data": listed})


async def _health(_request: web.Request) -> web.Response:
    return _json({"status": "ok"})


async def _stats(replica: Replica, _request: web.Request) -> web.Response:
    return _json(replica.ledger.stats())


def _json(content: object) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json")
