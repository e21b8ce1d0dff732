"""Routes caption requests to the replicas of the deployment that they name (server's process)."""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from aiohttp import web

from captionfleet.standin import wire
from captionfleet.standin.plane.answers import check_key, json_answer
from captionfleet.standin.plane.deployment import Deployment, Life
from captionfleet.standin.plane.record import StandinPlane
from captionfleet.standin.refusals import SCALING_UP, RefusedError
from captionfleet.standin.replica import Replica, read_body

__all__ = ["Gateway"]

_LOOKED_AT_BYTES = 4096


class Gateway:
    """Chooses the least loaded replica; a replica that is taken away breaks off its requests."""

    def __init__(self, plane: StandinPlane) -> None:
        self._plane = plane
        self._front = Replica(plane.options.replica, plane.ledger)
        self._replicas: dict[tuple[str, Life], Replica] = {}
        self._in_flight: dict[tuple[str, Life], list[anyio.CancelScope]] = defaultdict(list)

    def add_to(self, application: web.Application) -> None:
        """Serve them."""
        application.router.add_post("/inference/v1/chat/completions", self._chat)
        application.router.add_get("/inference/v1/models", self._models)
        application.router.add_get("/stats", self._stats)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            check_key(self._plane.options, request, may_read_only=True)
            body = await read_body(request, self._plane.options.replica)
            deployment = self._plane.account.serving(_model_of(body))
            return await self._served(request, body, deployment)
        except RefusedError as error:
            return self._front.refused(error.refusal, "gateway")

    async def _served(
        self, request: web.Request, body: bytearray, deployment: Deployment
    ) -> web.StreamResponse:
        served = False
        deployment.begin(anyio.current_time())
        self._take_away(deployment)
        try:
            key = self._choice(deployment)
            with self._flight(key) as scope:
                response = await self._replicas[key].chat(request, body)
                served = response.status == 200  # noqa: PLR2004 -- an HTTP status
            return wire.reset(request) if scope.cancelled_caught else response
        finally:
            deployment.end(anyio.current_time(), served=served)

    def _choice(self, deployment: Deployment) -> tuple[str, Life]:
        """The least loaded replica that is ready.

        Raises:
            RefusedError: 503, none is.
        """
        ready = [(deployment.name, life) for life in deployment.ready(anyio.current_time())]
        if not ready:
            self._plane.asleep += 1
            raise RefusedError(SCALING_UP)
        key = min(ready, key=lambda one: len(self._in_flight[one]))
        if key not in self._replicas:
            self._replicas[key] = Replica(self._plane.options.replica, self._plane.ledger)
        return key

    @contextmanager
    def _flight(self, key: tuple[str, Life]) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            self._in_flight[key].append(scope)
            try:
                yield scope
            finally:
                self._in_flight[key].remove(scope)

    def _take_away(self, deployment: Deployment) -> None:
        """Break off the requests in flight at preempted replicas."""
        while deployment.gone:
            for scope in self._in_flight[deployment.name, deployment.gone.pop()]:
                scope.cancel()

    async def _models(self, request: web.Request) -> web.Response:
        try:
            check_key(self._plane.options, request, may_read_only=True)
        except RefusedError as error:
            return self._front.refused(error.refusal, "models")
        return json_answer({"object": "list", "data": []})

    async def _stats(self, _request: web.Request) -> web.Response:
        plane, now_s = self._plane, anyio.current_time()
        counts = {
            "calls": [
                {"method": one.method, "path": one.path, "query": one.query, "status": one.status}
                for one in plane.calls
            ],
            "deployments": [one.as_json(now_s) for one in plane.account.deployments.values()],
            "asleep": plane.asleep,
        }
        return json_answer(plane.ledger.stats() | counts)


def _model_of(body: bytearray) -> str:
    """The request's model string, without parsing its media."""
    ends = body[:_LOOKED_AT_BYTES] + b"\n" + body[-_LOOKED_AT_BYTES:]
    found = re.search(rb'"model"\s*:\s*"((?:[^"\\]|\\.)*)"', ends)
    return found[1].decode(errors="replace") if found else ""
