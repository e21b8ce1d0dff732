"""A scripted deployment on a real socket: each request gets the next step of its script.

A step is an async function of the request; when the script is over, captions are given.
"""

import base64
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import orjson
from aiohttp import web

Step = Callable[[web.Request], Awaitable[web.StreamResponse]]

USAGE = {
    "prompt_tokens": 70,
    "completion_tokens": 3,
    "total_tokens": 73,
    "prompt_tokens_details": {"cached_tokens": 7},
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the deployment received it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as a value."""
        return orjson.loads(self.body)

    def sha256(self, kind: str) -> str | None:
        """The hash of what was sent as video_url or audio_url; None where nothing was."""
        for part in self.json["messages"][-1]["content"]:
            if part["type"] == kind:
                data = part[kind]["url"].partition(";base64,")[2]
                return hashlib.sha256(base64.b64decode(data, validate=True)).hexdigest()
        return None


@dataclass(slots=True)
class ScriptedReplica:
    """What a test sees of the deployment; `script` may be changed at any time.

    `names_requests`: whether answers carry the x-request-id of their request.
    """

    script: list[Step] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    base_url: str = ""
    in_flight: int = 0
    max_in_flight: int = 0
    models_script: list[int] = field(default_factory=list)
    models_default: Step | None = None
    names_requests: bool = False
    default: Step = field(default_factory=lambda: caption())  # noqa: PLW0108 - defined below

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take the next step of the script."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            step = self.script.pop(0) if self.script else self.default
            if not getattr(step, "reads_body", True):
                return await step(request)
            body = await request.read()
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.seen.append(Seen(request.method, str(request.url), headers, body))
            return await step(request)
        finally:
            self.in_flight -= 1

    async def name(self, request: web.Request, response: web.StreamResponse) -> None:
        """Send the request's id back."""
        if self.names_requests and "x-request-id" in request.headers:
            response.headers.setdefault("x-request-id", request.headers["x-request-id"])


@asynccontextmanager
async def scripted(
    *script: Step, models_status: int = 200, taken: socket.socket | None = None
) -> AsyncIterator[ScriptedReplica]:
    """Serve a script on 127.0.0.1, where the socket is bound if one is given.

    Open connections are cut at the end.
    """
    replica = ScriptedReplica(list(script))

    async def models(request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        replica.seen.append(Seen("GET", str(request.url), headers, b""))
        if replica.models_default is not None:
            return await replica.models_default(request)
        status = replica.models_script.pop(0) if replica.models_script else models_status
        return web.json_response({"data": []}, status=status)

    app = web.Application(client_max_size=2**26)
    app.on_response_prepare.append(replica.name)
    app.router.add_get("/v1/models", models)
    app.router.add_route("*", "/{anything:.*}", replica.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.SockSite(runner, taken) if taken else web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    replica.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield replica
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


def completion(text: str = "A red ball rolls.", **changes: Any) -> dict[str, Any]:
    """A chat completion; `changes` replace its top-level fields."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    return {"id": "c1", "object": "chat.completion", "choices": [choice], "usage": USAGE} | changes


def sse_lines(text: str = "A red ball rolls.", finish: str | None = "stop") -> list[bytes]:
    """The events of a streamed completion, with a trailing chunk that holds only usage."""
    words = text.split(" ")
    deltas = [{"role": "assistant", "content": ""}] + [
        {"content": word if n == 0 else f" {word}"} for n, word in enumerate(words)
    ]
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": None}
        for delta in deltas
    ]
    if finish is not None:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({"choices": [], "usage": USAGE})
    return [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


def caption(text: str = "A red ball rolls.", *, delay_s: float = 0.0) -> Step:
    """A caption, streamed if the request asks for it."""

    async def step(request: web.Request) -> web.StreamResponse:
        await anyio.sleep(delay_s)
        asked = orjson.loads(await request.read())
        if asked.get("stream"):
            return await stream(sse_lines(text))(request)
        return web.json_response(completion(text))

    return step


def echo(delay_s: float = 0.0) -> Step:
    """A caption that is the prompt."""

    async def step(request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        return await caption(prompt_of(body), delay_s=delay_s)(request)

    return step


def prompt_of(body: object) -> str:
    """The text of a request."""
    assert isinstance(body, dict)
    return str(body["messages"][-1]["content"][-1]["text"])


def answer(status: int = 200, body: object = b"", headers: Mapping[str, str] | None = None) -> Step:
    """Any answer; a body that is not bytes is sent as JSON."""

    async def step(_: web.Request) -> web.StreamResponse:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return web.Response(status=status, body=raw, headers=headers)

    return step


def stream(
    portions: Iterable[bytes], *, end: str = "close", content_type: str = "text/event-stream"
) -> Step:
    """A chunked answer that then ends, hangs, or is reset."""

    async def step(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        for portion in portions:
            await response.write(portion)
        return await _end(request, end, response)

    return step


def raw(data: bytes, *, end: str = "close") -> Step:
    """Bytes on the wire in place of an HTTP answer."""

    async def step(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(data)
        return await _end(request, end, None)

    return step


def unread(then: Step) -> Step:
    """The step, taken before the request's body is read."""

    async def step(request: web.Request) -> web.StreamResponse:
        return await then(request)

    step.reads_body = False  # type: ignore[attr-defined]
    return step


def gated(gate: anyio.Event, then: Step) -> Step:
    """The step, once the test opens the gate."""

    async def step(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await then(request)

    return step


def error_body(code: str | int, message: str = "sorry") -> dict[str, Any]:
    """An error as OpenAI-compatible servers write it."""
    return {"error": {"message": message, "code": code, "type": "error"}}


def times(n: int, step: Step) -> Sequence[Step]:
    """The same step n times."""
    return [step] * n


async def _end(
    request: web.Request, end: str, response: web.StreamResponse | None
) -> web.StreamResponse:
    transport = request.transport
    assert transport is not None
    if end == "reset":
        transport.abort()
    elif response is not None and end == "close":
        await response.write_eof()
        return response
    elif end == "close":
        transport.close()
    await anyio.sleep_forever()
    raise AssertionError("not reached")
