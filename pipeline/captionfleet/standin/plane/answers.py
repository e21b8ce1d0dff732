"""Formats a control plane's answers and refusals, and checks keys (server's process)."""

from collections.abc import Mapping

import orjson
from aiohttp import web

from captionfleet.standin.plane.options import PlaneOptions
from captionfleet.standin.refusals import Refusal, RefusedError

__all__ = ["check_key", "json_answer", "refused"]

# The gRPC codes of refusals: https://grpc.io/docs/guides/status-codes
_GRPC = {
    "INVALID_ARGUMENT": 3,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "UNAVAILABLE": 14,
    "UNAUTHENTICATED": 16,
}
_INTERNAL = 13


def check_key(options: PlaneOptions, request: web.Request, *, may_read_only: bool) -> None:
    """Check the bearer key.

    Raises:
        RefusedError: 401 for a missing or wrong key; 403 for a key that can only read.
    """
    key, given = options.replica.api_key, request.headers.get("Authorization", "")
    if key is None or given == f"Bearer {key}":
        return
    if options.read_only_key is None or given != f"Bearer {options.read_only_key}":
        raise RefusedError(Refusal(401, "UNAUTHENTICATED", "The API key is missing or invalid"))
    if not may_read_only:
        raise RefusedError(Refusal(403, "PERMISSION_DENIED", "this key may only read"))


def refused(refusal: Refusal, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return the response for a refusal."""
    kind = "QuotaFailure" if refusal.param == "quota" else "ErrorInfo"
    body = {
        "code": _GRPC.get(refusal.code, _INTERNAL),
        "message": refusal.message,
        "details": [{"@type": f"type.googleapis.com/google.rpc.{kind}"}],
    }
    return json_answer(body, refusal.status, headers)


def json_answer(
    content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a JSON response."""
    body = orjson.dumps(content)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
