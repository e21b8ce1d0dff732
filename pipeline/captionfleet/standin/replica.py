"""Answers chat-completions requests like one replica of a deployment (server's process)."""

import hmac
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import anyio
from aiohttp import web

from captionfleet.standin import answers, wire
from captionfleet.standin.faults import Fault, FaultKind, FaultPlan
from captionfleet.standin.ledger import Entry, Ledger
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.protocol import Chat, read_chat
from captionfleet.standin.refusals import (
    SATURATED,
    SCALING_UP,
    Refusal,
    RefusedError,
    of_status,
    too_large,
)
from captionfleet.standin.replying import perceive, reply_to

__all__ = ["Replica", "read_body"]

_BODY_BYTES_SPARE = 6_000_000
_DEADLINE_S = 600.0
_BODIES_READ_AT_ONCE = 32
_DECODERS = 2  # more would only contend for the interpreter lock
_REQUEST_ID_CHARS = 128
_SLOW_S = 10.0
_TOKENS_PER_EVENT = 16


class Replica:
    """One stand-in replica: its slots, its queue, its faults, and the ledger of its requests.

    Media stay in memory from reading a body until decoding it; slots, places in the queue and
    readers limit how many requests do so at once.
    """

    def __init__(self, options: StandinOptions, ledger: Ledger | None = None) -> None:
        self.options = options
        self.ledger = ledger or Ledger()
        self._faults = FaultPlan(options.faults, options.seed)
        self._slots = anyio.CapacityLimiter(options.slots)
        self._readers = anyio.CapacityLimiter(_BODIES_READ_AT_ONCE)
        self._decoders = anyio.CapacityLimiter(_DECODERS)
        self._admitted_count = 0
        self._first_request_s: float | None = None

    async def chat(self, request: web.Request, body: bytearray | None = None) -> web.StreamResponse:
        """Answer one chat-completions request; pass its body if it has been read already."""
        with self.ledger.opened() as entry:
            request_id = _request_id(request, entry)
            try:
                with anyio.fail_after(_DEADLINE_S):
                    return await self._answer(request, entry, request_id, body)
            except RefusedError as error:
                self.ledger.close(entry, error.refusal.status)
                return self.refused(error.refusal, request_id)
            except TimeoutError:
                self.ledger.close(entry, None)
                return wire.reset(request)

    def check_key(self, request: web.Request) -> None:
        """Check the bearer key.

        Raises:
            RefusedError: 401, the key is missing or wrong.
        """
        key = self.options.api_key
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if key is not None and not hmac.compare_digest(given, f"Bearer {key}".encode()):
            raise RefusedError(Refusal(401, "UNAUTHORIZED", "The API key is missing or invalid"))

    def refused(
        self, refusal: Refusal, request_id: str, retry_after_s: float | None = None
    ) -> web.Response:
        """Return the response for a refusal."""
        return web.Response(
            status=refusal.status,
            body=answers.error_body(refusal, request_id, strict=self.options.strict),
            content_type="application/json",
            headers=_headers(request_id, retry_after_s),
        )

    async def _answer(
        self, request: web.Request, entry: Entry, request_id: str, body: bytearray | None
    ) -> web.StreamResponse:
        if body is None:
            self.check_key(request)
        chat = await self._read(request, body)
        del body
        fault = self._faults.draw(entry.record.ordinal)
        entry.identify(chat, fault)
        self._check_awake()
        self._slots.total_tokens = self._slots_now()
        if fault is not None and fault.before_service:
            return await self._struck(request, entry, request_id, fault)
        with self._admission():
            reply = await self._perceived(chat, request_id, fault)
            del chat  # a queued request holds no media
            reply, stream = await self._served(request, reply, entry, fault)
        self.ledger.close(entry, 200)
        if stream is not None:
            return await wire.end_stream(request, stream, answers.last_events(reply), fault)
        return await wire.send_whole(request, answers.completion(reply), _headers_of(reply), fault)

    async def _read(self, request: web.Request, body: bytearray | None) -> Chat:
        async with self._readers:
            if body is None:
                body = await read_body(request, self.options)
            return await anyio.to_thread.run_sync(read_chat, body, self.options)

    def _check_awake(self) -> None:
        if self._awake_s() < self.options.cold_start_s:
            raise RefusedError(SCALING_UP)

    def _slots_now(self) -> int:
        options, after_s = self.options, self.options.halves_after_s
        is_halved = after_s is not None and self._awake_s() >= after_s
        return max(options.slots // 2, 1) if is_halved else options.slots

    def _awake_s(self) -> float:
        """Seconds since the first request."""
        now_s = anyio.current_time()
        if self._first_request_s is None:
            self._first_request_s = now_s
        return now_s - self._first_request_s

    async def _struck(
        self, request: web.Request, entry: Entry, request_id: str, fault: Fault
    ) -> web.StreamResponse:
        if fault.kind is FaultKind.HANG:
            await anyio.sleep(_DEADLINE_S if fault.seconds is None else fault.seconds)
        if fault.kind in {FaultKind.HANG, FaultKind.RESET_BEFORE}:
            self.ledger.close(entry, None)
            return wire.reset(request)
        scaling_up = fault.kind is FaultKind.SCALING_UP
        refusal = SCALING_UP if scaling_up else of_status(fault.status)
        self.ledger.close(entry, refusal.status)
        if fault.html:
            return wire.html_page(fault.status, _headers(request_id, fault.retry_after_s))
        return self.refused(refusal, request_id, fault.retry_after_s)

    @contextmanager
    def _admission(self) -> Iterator[None]:
        """Admit a request if it can be served or queued.

        Raises:
            RefusedError: 429, all slots and places in the queue are taken.
        """
        if self._admitted_count >= self._slots_now() + self.options.max_queue:
            raise RefusedError(SATURATED)
        self._admitted_count += 1
        try:
            yield
        finally:
            self._admitted_count -= 1

    async def _perceived(self, chat: Chat, request_id: str, fault: Fault | None) -> answers.Reply:
        """Make the caption, before the queue and the service time."""
        seen = None
        if self.options.watch_media:
            seen = await anyio.to_thread.run_sync(
                perceive, chat, self.options, limiter=self._decoders
            )
        return reply_to(chat, seen, request_id, self.options, fault.kind if fault else None)

    async def _served(
        self, request: web.Request, reply: answers.Reply, entry: Entry, fault: Fault | None
    ) -> tuple[answers.Reply, web.StreamResponse | None]:
        """Hold a slot while the caption is made and sent, except for a stream's last events."""
        queued_s = anyio.current_time()
        stream = None
        async with self._slots:
            with self.ledger.served():
                queue_s = anyio.current_time() - queued_s
                await anyio.sleep(self._service_s(entry.record.ordinal, fault))
                first_s = anyio.current_time() - queued_s
                timing = answers.Timing(queue_s, first_s, first_s, self._admitted_count)
                if reply.stream:
                    stream = await self._streamed(request, self._timed(reply, timing), fault)
                else:
                    tokens = reply.usage.completion_tokens
                    await anyio.sleep((tokens - 1) * self.options.time_per_token_s)
        timing = replace(timing, processing_s=anyio.current_time() - queued_s)
        return self._timed(reply, timing), stream

    async def _streamed(
        self, request: web.Request, reply: answers.Reply, fault: Fault | None
    ) -> web.StreamResponse:
        time_per_token_s = self.options.time_per_token_s
        tokens_per_event = 1 if time_per_token_s else _TOKENS_PER_EVENT
        role, *events = answers.content_events(reply, tokens_per_event)
        stream = await wire.start_stream(request, _headers_of(reply))
        await stream.write(role)
        for event in events[: len(events) // 2] if wire.stops_early(fault) else events:
            await stream.write(event)
            await anyio.sleep(tokens_per_event * time_per_token_s)
        return stream

    def _timed(self, reply: answers.Reply, timing: answers.Timing) -> answers.Reply:
        if not self.options.strict:
            return reply
        perf = answers.perf_metrics(reply.usage, timing)
        if not self.options.tells_usage:
            del perf["prompt-tokens"]
        return replace(reply, perf=perf)

    def _service_s(self, ordinal: int, fault: Fault | None) -> float:
        options = self.options
        dice = random.Random(f"service:{options.seed}:{ordinal}")  # noqa: S311 -- no secret
        vary = 1 + options.service_time_jitter * dice.uniform(-1, 1)
        service_s = options.service_time_s * vary
        if fault is None or fault.kind is not FaultKind.SLOW:
            return service_s
        return service_s + (_SLOW_S if fault.seconds is None else fault.seconds)


async def read_body(request: web.Request, options: StandinOptions) -> bytearray:
    """Read a whole body.

    Raises:
        RefusedError: 413 for a body larger than any valid one.
    """
    limit_bytes = options.max_payload_bytes + _BODY_BYTES_SPARE
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            raise RefusedError(too_large(f"the body exceeds {limit_bytes} bytes"))
    return body


def _request_id(request: web.Request, entry: Entry) -> str:
    given = request.headers.get("x-request-id", "")[:_REQUEST_ID_CHARS]
    return given if given.isascii() and given else f"chat-{entry.record.ordinal}"


def _headers(request_id: str, retry_after_s: float | None = None) -> dict[str, str]:
    retry = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
    return {"x-request-id": request_id} | retry


def _headers_of(reply: answers.Reply) -> dict[str, str]:
    return _headers(reply.request_id) | answers.perf_headers(reply)
