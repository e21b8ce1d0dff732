"""Handles the control plane's calls that show and change deployments (server's process)."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import orjson
from aiohttp import web

from captionfleet.standin import wire
from captionfleet.standin.faults import FaultKind, FaultPlan
from captionfleet.standin.plane.answers import check_key, json_answer, refused
from captionfleet.standin.plane.record import CallRecord, StandinPlane
from captionfleet.standin.refusals import Refusal, RefusedError, of_status

__all__ = ["Control"]

_DEPLOYMENTS = "/v1/accounts/{account}/deployments"
_HANG_S = 60.0

_Action = Callable[[web.Request, Any], dict[str, Any]]


class Control:
    """The REST calls, each recorded with its status."""

    def __init__(self, plane: StandinPlane) -> None:
        self._plane = plane
        self._account = plane.account
        self._ordinal = 0

    def add_to(self, application: web.Application) -> None:
        """Serve them."""
        one, router = f"{_DEPLOYMENTS}/{{name}}", application.router
        router.add_post(_DEPLOYMENTS, self._handler(self._create))
        router.add_get(_DEPLOYMENTS, self._handler(self._list))
        router.add_get(one, self._handler(self._get))
        router.add_patch(one, self._handler(self._patch))
        router.add_delete(one, self._handler(self._delete))
        shapes = "/v1/accounts/{account}/deploymentShapeVersions:match"
        router.add_post(shapes, self._handler(self._match, is_look=True))

    def _handler(
        self, action: _Action, *, is_look: bool = False
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = _parsed(await request.read())
            try:
                fault = await self._struck(request)
                if fault is not None:
                    return self._noted(request, body, fault)
                self._check(request, is_look=is_look or request.method == "GET")
                answer = action(request, body)
            except RefusedError as error:
                return self._noted(request, body, refused(error.refusal))
            return self._noted(request, body, json_answer(answer))

        return handle

    async def _struck(self, request: web.Request) -> web.StreamResponse | None:
        self._ordinal += 1
        options = self._plane.options  # now: the options may change during the call
        fault = FaultPlan(options.control_faults, options.replica.seed).draw(self._ordinal)
        if fault is None:
            return None
        if fault.kind is FaultKind.HANG:
            await anyio.sleep(_HANG_S if fault.seconds is None else fault.seconds)
        if fault.kind is not FaultKind.STATUS:
            return wire.reset(request)
        headers = {"Retry-After": f"{fault.retry_after_s:g}"} if fault.retry_after_s else {}
        if fault.html:
            return wire.html_page(fault.status, headers)
        return refused(of_status(fault.status), headers)

    def _check(self, request: web.Request, *, is_look: bool) -> None:
        check_key(self._plane.options, request, may_read_only=is_look)
        if request.match_info["account"] != self._plane.options.account:
            raise RefusedError(Refusal(403, "PERMISSION_DENIED", "not your account"))

    def _noted(
        self, request: web.Request, body: Any, response: web.StreamResponse
    ) -> web.StreamResponse:
        query = dict(request.query)
        self._plane.calls.append(
            CallRecord(request.method, request.path, query, body, response.status)
        )
        return response

    def _create(self, request: web.Request, body: Any) -> dict[str, Any]:
        now_s = anyio.current_time()
        return self._account.create(request.query, _object(body), now_s).as_json(now_s)

    def _list(self, request: web.Request, _body: Any) -> dict[str, Any]:
        return self._account.page(request.query, anyio.current_time())

    def _get(self, request: web.Request, _body: Any) -> dict[str, Any]:
        now_s = anyio.current_time()
        return self._account.find(request.match_info["name"], now_s).as_json(now_s)

    def _patch(self, request: web.Request, body: Any) -> dict[str, Any]:
        now_s = anyio.current_time()
        name, _, verb = request.match_info["name"].partition(":")
        if verb == "scale":
            return self._account.scale(name, _object(body), now_s).as_json(now_s)
        return self._account.patch(name, request.query, _object(body), now_s).as_json(now_s)

    def _delete(self, request: web.Request, _body: Any) -> dict[str, Any]:
        self._account.delete(request.match_info["name"], request.query, anyio.current_time())
        return {}

    def _match(self, _request: web.Request, body: Any) -> dict[str, Any]:
        return self._account.shapes(_object(body))


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        return None


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise RefusedError(Refusal(400, "INVALID_ARGUMENT", "the body is no JSON object"))
    return body
