"""Runs a stand-in deployment on a real HTTP server, in a block or as a command."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import orjson
from aiohttp import web

from captionfleet.standin.hosting import hosted, until_signal
from captionfleet.standin.ledger import Ledger, RequestRecord
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.refusals import RefusedError
from captionfleet.standin.replica import Replica

__all__ = ["Standin", "serve", "serving"]

_PREFIXES = ("/v1", "/inference/v1")


@dataclass(frozen=True, slots=True)
class Standin:
    """A running stand-in."""

    host: str
    port: int
    ledger: Ledger

    @property
    def base_url(self) -> str:
        """The URL that a client puts before "/chat/completions"."""
        return f"http://{self.host}:{self.port}/v1"

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The latest requests, in the order they ended."""
        return tuple(self.ledger.records)


@asynccontextmanager
async def serving(options: StandinOptions) -> AsyncIterator[Standin]:
    """Serve until the block ends; requests in flight are then broken off.

    Raises:
        OSError: the address cannot be bound.
    """
    replica = Replica(options)
    application = _application(replica)
    async with hosted(application, options.host, options.port, replica.ledger) as address:
        yield Standin(*address, replica.ledger)


async def serve(options: StandinOptions, announce: Callable[[Standin], None]) -> None:
    """Serve until SIGINT or SIGTERM; call `announce` in a thread once the server accepts calls.

    Raises:
        OSError: the address cannot be bound.
    """
    await until_signal(serving(options), announce)


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
