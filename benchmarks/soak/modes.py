"""The ways in which an answer reaches a client, or does not, each seen at a real server."""

import gzip
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import SocketStream

__all__ = ["REFUSAL", "REFUSALS", "STREAMED", "WHOLE", "Exchange", "Mode", "head"]

_GAP_S = 0.05
_HANG_S = 4.0
REFUSAL = "No."  # of the model: the clip's caption, with the flag `refused`
JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass(slots=True)
class Exchange:
    """One request that the deployment behind has answered, on its way back.

    `answer` is its JSON; `is_over` is set where the connection must not be used again.
    """

    client: SocketStream
    answer: dict[str, Any]
    is_over: bool = False
    written: list[bytes] = field(default_factory=list)

    async def send(self, *pieces: bytes) -> None:
        """Write to the client."""
        for piece in pieces:
            await self.client.send(piece)

    @property
    def body(self) -> bytes:
        """The answer as one JSON text."""
        return json.dumps(self.answer).encode()

    @property
    def text(self) -> str:
        """The caption."""
        text: str = self.answer["choices"][0]["message"]["content"]
        return text


Deliver = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Mode:
    """One way; `loses`: no client can have a caption of it, so the clip has to be asked again."""

    name: str
    deliver: Deliver
    loses: bool = False


def head(
    status: int, length: int | None, *lines: str, kind: str = JSON, http: str = "1.1"
) -> bytes:
    """The head of an answer; without a length it goes on until the connection ends."""
    sized = [] if length is None else [f"Content-Length: {length}"]
    every = [f"HTTP/{http} {status} X", f"Content-Type: {kind}", *sized, *lines]
    return "\r\n".join(every).encode() + b"\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


def _event(data: object) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return b"data: " + text.encode() + b"\n\n"


def _delta(text: str | None, finish: str | None = None) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "choices": [choice]}


# --- whole answers


async def _plain(one: Exchange) -> None:
    await one.send(head(200, len(one.body)) + one.body)


async def _twice(one: Exchange) -> None:
    whole = head(200, len(one.body)) + one.body
    await one.send(whole + whole)


async def _twice_later(one: Exchange) -> None:
    await _plain(one)
    await anyio.sleep(_GAP_S)
    await _plain(one)


async def _then_closed(one: Exchange) -> None:
    await _plain(one)
    one.is_over = True


async def _long_header(one: Exchange) -> None:
    await one.send(head(200, len(one.body), "X-Trace: " + "a" * 9000) + one.body)


async def _many_headers(one: Exchange) -> None:
    lines = [f"X-H{number}: {'v' * 30}" for number in range(200)]
    await one.send(head(200, len(one.body), *lines) + one.body)


async def _gzipped(one: Exchange) -> None:
    body = gzip.compress(one.body)
    await one.send(head(200, len(body), "Content-Encoding: gzip") + body)


async def _http_10(one: Exchange) -> None:
    await one.send(head(200, None, http="1.0") + one.body)
    one.is_over = True


async def _other_kind(one: Exchange) -> None:
    await one.send(head(200, len(one.body), kind="text/html") + one.body)


async def _with_mark(one: Exchange) -> None:
    body = b"\xef\xbb\xbf" + one.body + b"\n\n"
    await one.send(head(200, len(body)) + body)


async def _early_hints(one: Exchange) -> None:
    await one.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + head(200, len(one.body)) + one.body)


async def _unended_chunks(one: Exchange) -> None:
    await one.send(head(200, None, "Transfer-Encoding: chunked") + _chunk(one.body))
    one.is_over = True


async def _too_long_a_length(one: Exchange) -> None:
    await one.send(head(200, len(one.body) + 10) + one.body)
    one.is_over = True


async def _trickle(one: Exchange) -> None:
    await one.send(head(200, len(one.body)))
    step = max(len(one.body) // 5, 1)
    for start in range(0, len(one.body), step):
        await one.send(one.body[start : start + step])
        await anyio.sleep(_GAP_S)


async def _cut_off(one: Exchange) -> None:
    await one.send(head(200, len(one.body)) + one.body[: len(one.body) // 2])
    one.is_over = True


async def _reset(one: Exchange) -> None:
    one.is_over = True


async def _hang(one: Exchange) -> None:
    await anyio.sleep(_HANG_S)
    one.is_over = True


async def _garbage(one: Exchange) -> None:
    await one.send(head(200, 5) + b"<html")


async def _empty(one: Exchange) -> None:
    one.answer["choices"][0]["message"]["content"] = ""
    await _plain(one)


async def _refusal(one: Exchange) -> None:
    message = {"role": "assistant", "content": None, "refusal": REFUSAL}
    one.answer["choices"][0]["message"] = message
    await _plain(one)


async def _thought_only(one: Exchange) -> None:
    message = {"role": "assistant", "content": None, "reasoning_content": "hm " * 50}
    one.answer["choices"][0].update(message=message, finish_reason="length")
    await _plain(one)


def _finished(reason: str | None) -> Deliver:
    async def deliver(one: Exchange) -> None:
        one.answer["choices"][0]["finish_reason"] = reason
        await _plain(one)

    return deliver


WHOLE = (
    *(Mode(one.__name__.strip("_"), one) for one in (
        _twice, _twice_later, _then_closed, _long_header, _many_headers, _gzipped, _http_10,
        _other_kind, _with_mark, _early_hints, _unended_chunks, _too_long_a_length, _trickle,
        _refusal,
    )),
    *(Mode(f"finish {reason}", _finished(reason)) for reason in ("eos", "end_turn", "STOP")),
    *(Mode(one.__name__.strip("_"), one, loses=True) for one in (
        _cut_off, _reset, _hang, _garbage, _empty, _thought_only,
    )),
)  # fmt: skip
PLAIN = Mode("plain", _plain)


# --- streamed answers


async def _events(
    one: Exchange, *extra: bytes, kind: str = EVENTS, stop: str | None = None
) -> None:
    """The caption word by word, with what else comes before each word."""
    await one.send(head(200, None, "Transfer-Encoding: chunked", kind=kind))
    for number, word in enumerate(one.text.split(" ")):
        text = f" {word}" if number else word
        await one.send(*map(_chunk, extra), _chunk(_event(_delta(text, stop))))


async def _ended(one: Exchange, *, last: bytes = b"0\r\n\r\n") -> None:
    usage: dict[str, Any] = {"id": "x", "choices": [], "usage": one.answer.get("usage")}
    await one.send(
        *map(_chunk, (_event(_delta(None, "stop")), _event(usage), _event("[DONE]"))), last
    )


async def _stream(one: Exchange) -> None:
    await _events(one)
    await _ended(one)


async def _heartbeats(one: Exchange) -> None:
    await _events(one, b"data:\n\n", b"data: null\n\n", b": alive\n\n")
    await _ended(one)


async def _stop_throughout(one: Exchange) -> None:
    await _events(one, stop="stop")
    await _ended(one)


async def _as_text(one: Exchange) -> None:
    await _events(one, kind="text/plain")
    await _ended(one)


async def _held_open(one: Exchange) -> None:
    await _events(one)
    await _ended(one, last=b"")
    await anyio.sleep(_HANG_S)
    one.is_over = True


async def _without_done(one: Exchange) -> None:
    await _events(one)
    await one.send(_chunk(_event(_delta(None, "stop"))), b"0\r\n\r\n")


async def _stream_cut(one: Exchange) -> None:
    await _events(one)
    one.is_over = True


async def _stream_error(one: Exchange) -> None:
    await _events(one)
    await one.send(_chunk(_event({"error": {"message": "worker died", "code": 500}})), b"0\r\n\r\n")


STREAMED = (
    *(Mode(one.__name__.strip("_"), one) for one in (
        _heartbeats, _stop_throughout, _as_text, _held_open, _without_done,
    )),
    *(Mode(one.__name__.strip("_"), one, loses=True) for one in (
        _stream_cut, _stream_error, _reset, _hang,
    )),
)  # fmt: skip
PLAIN_STREAM = Mode("stream", _stream)


# --- refusals: the deployment behind is not asked

REFUSALS: dict[str, tuple[int, str, tuple[str, ...]]] = {
    "429": (429, JSON, ()),
    "429 with a time": (429, JSON, ("Retry-After: 1",)),
    "500": (500, JSON, ()),
    "502": (502, "text/html", ()),
    "503": (503, JSON, ()),
    "504": (504, "text/html", ()),
    "401": (401, JSON, ()),
    "403": (403, JSON, ()),
    "404": (404, JSON, ()),
    "307": (307, "text/html", ("Location: /elsewhere",)),
    "422": (422, JSON, ()),
}
