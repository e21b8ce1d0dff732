"""A proxy before one deployment that hands on what comes in ways of its own choice."""

import hashlib
import json
import random
import re
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks.soak.modes import (
    PLAIN,
    PLAIN_STREAM,
    REFUSALS,
    STREAMED,
    WHOLE,
    Exchange,
    Mode,
    head,
)

__all__ = ["Proxy", "proxied"]

_MOST_HEAD_BYTES = 2**16
_MOST_BODY_BYTES = 2**26
_MODELS = b'{"object": "list", "data": [{"id": "omni", "object": "model"}]}'
_VIDEO = re.compile(rb"data:video/mp4;base64,([A-Za-z0-9+/=]*)")
_BROKEN = (
    anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream,
    anyio.IncompleteRead, anyio.DelimiterNotFound, OSError,
)  # fmt: skip
_REFUSED, _STRAY, _ODD = 0.10, 0.02, 0.35  # shares of the requests


@dataclass(slots=True)
class Proxy:
    """What happened at one deployment.

    Attributes:
        upstream_port: Of the deployment behind.
        delivered: By the SHA-256 of the video: answers that were written as a whole, and from
            which a client can have its caption.
        modes: How often each way was taken.
        busy: Requests that the deployment behind works on, or that are being answered.
    """

    upstream_port: int
    chance: random.Random
    port: int = 0
    delivered: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    busy: int = 0
    refuses_until_s: float = 0.0
    hiccup: str = ""

    async def handle(self, client: SocketStream) -> None:
        """One connection of a client, request by request."""
        stream = BufferedByteReceiveStream(client)
        try:
            async with client:
                while await self._next(client, stream):
                    pass
        except _BROKEN:
            pass

    async def _next(self, client: SocketStream, stream: BufferedByteReceiveStream) -> bool:
        """One request; whether another may follow on the connection."""
        top = await stream.receive_until(b"\r\n\r\n", _MOST_HEAD_BYTES)
        if top.startswith(b"GET"):
            return await self._models(client)
        length = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", top)[1])  # type: ignore[index]
        if self.chance.random() < _STRAY:
            return await self._refuse_and_stray(client, stream, length)
        body = await stream.receive_exactly(length)
        if refusal := self._refusal():
            self.modes[refusal] += 1
            status, kind, lines = REFUSALS[refusal]
            words = b'{"error": {"message": "a hiccup", "code": "x"}}'
            await client.send(head(status, len(words), *lines, kind=kind) + words)
            return True
        return await self._answer(client, body)

    async def _models(self, client: SocketStream) -> bool:
        odd = self.chance.random()
        if odd < _STRAY:
            return False
        if odd < 2 * _STRAY:
            await anyio.sleep(2)
        await client.send(head(200, len(_MODELS)) + _MODELS)
        return True

    def _refusal(self) -> str:
        """Whether this request is refused: alone, or with all others for 0.3 s."""
        now_s = anyio.current_time()
        if now_s < self.refuses_until_s:
            return self.hiccup
        if self.chance.random() > _REFUSED:
            return ""
        kind = self.chance.choice(list(REFUSALS))
        if kind in {"401", "403", "404", "307"} and self.chance.random() < _STRAY:
            self.hiccup, self.refuses_until_s = kind, now_s + 0.3
        return kind

    async def _refuse_and_stray(
        self, client: SocketStream, stream: BufferedByteReceiveStream, length: int
    ) -> bool:
        """Refuse before the body is read, and say something more on the connection later."""
        self.modes["429 before the body, a stray 400 after it"] += 1
        words = b'{"error": {"message": "slow down"}}'
        await client.send(head(429, len(words)) + words)
        await stream.receive_exactly(length)
        await anyio.sleep(0.05)
        await client.send(head(400, 4, kind="text/html") + b"Bad?")
        return True

    async def _answer(self, client: SocketStream, body: bytes) -> bool:
        found = _VIDEO.search(body)
        video = b64decode(found[1]) if found else b""
        sha256 = hashlib.sha256(video).hexdigest()
        request: dict[str, Any] = json.loads(body)
        is_stream = bool(request.pop("stream", False))
        request.pop("stream_options", None)
        self.busy += 1
        try:
            answer = await self._ask_behind(json.dumps(request).encode())
            if answer is None:
                return False
            mode = self._mode(is_stream=is_stream)
            self.modes[mode.name] += 1
            one = Exchange(client, answer)
            await mode.deliver(one)
            if not mode.loses:
                self.delivered[sha256] += 1
            return not one.is_over
        finally:
            self.busy -= 1

    def _mode(self, *, is_stream: bool) -> Mode:
        if self.chance.random() > _ODD:
            return PLAIN_STREAM if is_stream else PLAIN
        return self.chance.choice(STREAMED if is_stream else WHOLE)

    async def _ask_behind(self, body: bytes) -> dict[str, Any] | None:
        """The caption of the deployment behind; None where it refuses."""
        async with await anyio.connect_tcp("127.0.0.1", self.upstream_port) as behind:
            await behind.send(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            raw = b""
            try:
                while True:
                    raw += await behind.receive()
            except anyio.EndOfStream:
                pass
        top, _, rest = raw.partition(b"\r\n\r\n")
        if b" 200 " not in top.partition(b"\r\n")[0]:
            return None
        answer: dict[str, Any] = json.loads(rest)
        return answer


@asynccontextmanager
async def proxied(upstream_port: int, seed: int) -> AsyncIterator[Proxy]:
    """A proxy on 127.0.0.1 until the block ends."""
    proxy = Proxy(upstream_port, random.Random(seed))  # noqa: S311 - repeatable
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", backlog=1024)
    proxy.port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no query
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, proxy.handle)
        yield proxy
        tasks.cancel_scope.cancel()
