"""Sends answers, whole or broken by a fault (server's process)."""

import socket
import struct

from aiohttp import web

from captionfleet.standin.faults import Fault, FaultKind

__all__ = ["end_stream", "html_page", "reset", "send_whole", "start_stream", "stops_early"]

_JSON = "application/json"
_HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
_GARBAGE = b'{"id": "stand-in", "choices": [{"message": \x00\xff\xfe'
_ERROR = b'{"error": {"message": "the model failed", "code": "INTERNAL", "type": "error"}}'
_SPOILT = frozenset(
    {FaultKind.RESET_DURING, FaultKind.TRUNCATE, FaultKind.GARBAGE, FaultKind.STREAM_ERROR}
)


def html_page(status: int, headers: dict[str, str]) -> web.Response:
    """Return the error page of an edge proxy."""
    text = _HTML.format(status)
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


def stops_early(fault: Fault | None) -> bool:
    """Whether a stream with this fault carries only half of the caption."""
    return fault is not None and fault.kind in _SPOILT


async def send_whole(
    request: web.Request, body: bytes, headers: dict[str, str], fault: Fault | None
) -> web.StreamResponse:
    """Answer 200 with a JSON body, or with the fault's version of it."""
    kind = fault.kind if fault else None
    if kind in {FaultKind.TRUNCATE, FaultKind.RESET_DURING}:
        response = web.StreamResponse(headers=headers)
        response.content_type, response.content_length = _JSON, len(body)
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        return _broken_off(request, response, hard=kind is FaultKind.RESET_DURING)
    if kind is FaultKind.GARBAGE:
        body = _GARBAGE
    elif kind is FaultKind.STREAM_ERROR:
        body = _ERROR
    return web.Response(body=body, headers=headers, content_type=_JSON)


async def start_stream(request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
    """Answer 200 and open a stream of events."""
    response = web.StreamResponse(headers=headers | {"Cache-Control": "no-cache"})
    response.content_type, response.charset = "text/event-stream", "utf-8"
    await response.prepare(request)
    return response


async def end_stream(
    request: web.Request, response: web.StreamResponse, last: bytes, fault: Fault | None
) -> web.StreamResponse:
    """Send the last events, or the fault's version of them."""
    match fault.kind if fault else None:
        case FaultKind.RESET_DURING:
            return _broken_off(request, response, hard=True)
        case FaultKind.TRUNCATE:
            last = b""
        case FaultKind.GARBAGE:
            last = b"data: " + _GARBAGE + b"\n\n"
        case FaultKind.STREAM_ERROR:
            last = b"event: error\ndata: " + _ERROR + b"\n\n"
    await response.write_eof(last)
    return response


def reset(request: web.Request) -> web.StreamResponse:
    """Reset the connection without an answer."""
    return _broken_off(request, web.Response(status=500), hard=True)


def _broken_off(
    request: web.Request, response: web.StreamResponse, *, hard: bool
) -> web.StreamResponse:
    """Close the connection: after what was written, or with an RST (`hard`)."""
    transport = request.transport
    if transport is None:
        return response
    if hard:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    return response
