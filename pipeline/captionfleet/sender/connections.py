"""Guarantees that a connection never pairs an answer with the wrong request (main process).

HTTP/1.1 pairs answers with requests by their order alone. One surplus answer on a connection, such
as a repeated one or a refusal that came before the body was read, would shift every later answer to
the wrong request, and a caption to the wrong clip. So a connection is reused only if its last
answer named its request (`x-request-id`, repeated by Fireworks, Envoy and many gateways), nothing
arrived since, and it is young enough. Every other connection takes one request. So does each
connection to a server that has once answered a request with a wrong or missing name.
"""

import functools
import os
import random
import select
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from captionfleet.telemetry import monotonic_s

__all__ = ["MAX_AGE_S", "MAX_HEAD_BYTES", "REQUEST_ID", "HeadTooLargeError", "OneAnswerConnector"]

REQUEST_ID = "x-request-id"
MAX_HEAD_BYTES = 2**16  # status line and headers together; proxies allow 8 to 64 KiB
# A replica that is added behind a connection-level load balancer gets work once connections are
# renewed: sooner than a model loads, and rarely enough for handshakes to cost nothing.
MAX_AGE_S = 60.0
_AGE_SPREAD = 0.25  # so that connections opened together are not renewed together
_LAST_READ_BYTES = 2**16
_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL = 200


class HeadTooLargeError(aiohttp.ClientError):
    """Raised when an answer's headers do not end within `MAX_HEAD_BYTES`."""


@dataclass(slots=True)
class _Server:
    """Whether a connection to this server has ever given a request a wrong answer."""

    mixes_answers: bool = False


class _Connection(ResponseHandler):
    """aiohttp's connection with the rules above; awaits one answer at a time."""

    def __init__(self, loop: Any, max_age_s: float) -> None:
        super().__init__(loop)
        self._old_at_s = monotonic_s() + max_age_s * random.uniform(  # noqa: S311 - spreads load
            1 - _AGE_SPREAD, 1 + _AGE_SPREAD
        )
        self._server = _Server()
        self._requests = 0
        self._request_id: str | None = None
        self._awaits_head = False
        self._head_bytes = 0
        self._is_named = False

    def begin(self, server: _Server, request_id: str | None) -> None:
        """Announce that a request with this id is about to be sent."""
        self._server = server
        self._requests += 1
        self._request_id = request_id
        self._is_named = False

    @property
    def should_close(self) -> bool:
        """Whether the connection must not go back into the pool."""
        return super().should_close or not self._may_stay or self._has_unsent

    def is_connected(self) -> bool:
        """Whether the connection can be used; the pool asks before handing it out."""
        if not super().is_connected():
            return False
        return not self._is_idle or (self._may_stay and not self._has_unread)

    def set_response_params(self, **params: Any) -> None:
        """Prepare for a request, or for a CONNECT to a proxy."""
        self._awaits_head, self._head_bytes = True, 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the answer; close the connection if there is no request."""
        if data and self._is_idle:
            self._drop()
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._is_idle and self._has_begun_another:
            self._drop()
        if self._awaits_head and self._head_bytes > MAX_HEAD_BYTES:
            self._drop()
            self.set_exception(HeadTooLargeError())

    def feed_data(self, data: tuple[Any, Any], size: int = 0) -> None:
        """Take the head of an answer, unless the request has its answer already."""
        if not self._awaits_head:
            self._drop()
            return
        message, _ = data
        if message.code >= _FIRST_FINAL or message.code == _SWITCHING_PROTOCOLS:
            self._awaits_head = False
            named = message.headers.get(REQUEST_ID)
            self._is_named = named is not None and named == self._request_id
            self._server.mixes_answers |= self._requests > 1 and not self._is_named
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Fail the request, unless the server answered before the upload broke."""
        if isinstance(exc, OSError):
            self._read_last_words()
            if self._buffer and not self._awaits_head:
                self._should_close = True
                return
        super().set_exception(exc, *cause)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Handle the lost connection; the socket is closed only after this."""
        if exc is not None:
            self._read_last_words()
        super().connection_lost(exc)

    @property
    def _is_idle(self) -> bool:
        return not self._awaits_head and (self._payload is None or self._payload.is_eof())

    @property
    def _has_begun_another(self) -> bool:
        """Whether the parser holds the start of a further answer."""
        if self._parser is None:
            return False
        try:
            return self._parser.feed_eof() is not None
        except Exception:  # noqa: BLE001 - with any error, this is not the start of an answer
            return True

    @property
    def _may_stay(self) -> bool:
        is_young = monotonic_s() < self._old_at_s
        return self._is_named and is_young and not self._server.mixes_answers

    @property
    def _has_unsent(self) -> bool:
        return self.transport is not None and self.transport.get_write_buffer_size() > 0

    @property
    def _descriptor(self) -> int:
        """The socket's descriptor, or -1."""
        raw = None if self.transport is None else self.transport.get_extra_info("socket")
        return -1 if raw is None else int(raw.fileno())

    @property
    def _has_unread(self) -> bool:
        """Whether bytes, or the end, wait in the socket where the event loop has not read yet."""
        if self._descriptor < 0:
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def _drop(self) -> None:
        self._should_close = True
        if self.transport is not None:
            self.transport.close()

    def _read_last_words(self) -> None:
        """Read what the server sent before it cut an upload off.

        A failed write ends aiohttp's reading, although a refusal may have arrived.
        """
        transport = self.transport
        if transport is None:
            return
        if transport.get_extra_info("sslcontext") is not None:  # TLS must read its bytes
            return
        try:
            while not self._is_idle and (data := os.read(self._descriptor, _LAST_READ_BYTES)):
                self.data_received(data)
        except OSError:  # nothing more is there
            pass


class OneAnswerConnector(aiohttp.TCPConnector):
    """A connection pool that applies these rules."""

    def __init__(self, *, limit: int, keepalive_timeout: float, max_age_s: float) -> None:
        super().__init__(limit=limit, limit_per_host=0, keepalive_timeout=keepalive_timeout)
        made: Callable[..., ResponseHandler] = _Connection
        self._factory = functools.partial(made, loop=self._loop, max_age_s=max_age_s)
        self._servers: defaultdict[str, _Server] = defaultdict(_Server)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: Sequence[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - theirs
    ) -> Any:
        """Take a connection from the pool, or open one, for this request."""
        connection = await super().connect(req, list(traces), timeout)
        protocol = connection.protocol
        if not isinstance(protocol, _Connection):
            raise TypeError("the HTTP library made a connection of another kind")
        protocol.begin(self._servers[str(req.url.origin())], req.headers.get(REQUEST_ID))
        return connection
