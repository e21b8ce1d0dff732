"""A chat-completions server on bare sockets, for answers that no HTTP library would send.

A caption names the SHA-256 of the video that came with its request, so a caption on the wrong
clip shows. A mode is an async function of one request; it returns False to close the connection.
"""

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import orjson
from anyio.abc import SocketAttribute, SocketStream
from anyio.from_thread import start_blocking_portal
from anyio.streams.buffered import BufferedByteReceiveStream

_MAX_HEAD_BYTES = 2**16
_VIDEO = b"data:video/mp4;base64,"


@dataclass(slots=True)
class RawServer:
    """What a test sees: connections, POSTs, and the videos that arrived, in order."""

    base_url: str = ""
    connections: int = 0
    posts: int = 0
    videos: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RawRequest:
    """One request whose head has arrived.

    `memory` is the connection's own, from one request to the next; `number` counts the requests
    of the server from 1.
    """

    server: RawServer
    stream: SocketStream
    received: BufferedByteReceiveStream
    headers: Mapping[str, str]
    number: int
    memory: dict[str, Any]

    async def video_sha256(self) -> str:
        """Read the body; the hash of its video."""
        body = await self.received.receive_exactly(int(self.headers["content-length"]))
        start = body.index(_VIDEO) + len(_VIDEO)
        video = base64.b64decode(body[start : body.index(b'"', start)])
        sha256 = hashlib.sha256(video).hexdigest()
        self.server.videos.append(sha256)
        return sha256

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self.stream.send(data)


Mode = Callable[[RawRequest], Awaitable[bool | None]]


def completion(sha256: str) -> bytes:
    """A chat completion whose caption names a video."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": f"caption of {sha256}"},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 70, "completion_tokens": 3, "total_tokens": 73}
    return orjson.dumps({"id": "c", "choices": [choice], "usage": usage})


def message(
    body: bytes,
    status: int = 200,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """An answer on the wire."""
    fields = {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body


def naming(request: RawRequest) -> dict[str, str]:
    """The header that names the request in its answer."""
    return {"X-Request-Id": request.headers["x-request-id"]}


@asynccontextmanager
async def raw_server(mode: Mode) -> AsyncIterator[RawServer]:
    """Serve a mode on 127.0.0.1; what is open at the end is cut."""
    server = RawServer()

    async def serve(stream: SocketStream) -> None:
        server.connections += 1
        try:
            async with stream:
                await _connection(server, stream, mode)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
            pass

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django's
    server.base_url = f"http://127.0.0.1:{port}/v1"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield server
        tasks.cancel_scope.cancel()


@contextmanager
def raw_server_aside(mode: Mode) -> Iterator[RawServer]:
    """The same on a loop of its own in another thread, so that it acts while the client does."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(raw_server(mode)) as server,
    ):
        yield server


async def _connection(server: RawServer, stream: SocketStream, mode: Mode) -> None:
    received, memory = BufferedByteReceiveStream(stream), dict[str, Any]()
    while True:
        head = await received.receive_until(b"\r\n\r\n", _MAX_HEAD_BYTES)
        first, *lines = head.decode("latin-1").split("\r\n")
        if first.startswith("GET "):
            await stream.send(message(b'{"data": []}'))
            continue
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        server.posts += 1
        request = RawRequest(server, stream, received, headers, server.posts, memory)
        if await mode(request) is False:
            return
