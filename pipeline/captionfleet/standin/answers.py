"""Formats answers as a real service: bodies, events, headers; pure (server's process)."""

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from captionfleet.standin.refusals import SCALING_UP, Refusal
from captionfleet.standin.tokens import CHARACTERS_PER_TOKEN, Usage

__all__ = [
    "Reply",
    "Timing",
    "completion",
    "content_events",
    "error_body",
    "last_events",
    "perf_headers",
    "perf_metrics",
]

_DEPLOYMENT = "stand-in"
_STREAMED_HEADERS = frozenset(
    {"prompt-tokens", "cached-prompt-tokens", "server-time-to-first-token"}
)
_VLLM_TYPES = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError"}


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of a request that a dedicated deployment reports."""

    queue_s: float
    first_token_s: float
    processing_s: float
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One caption and what is reported with it.

    Attributes:
        usage_in: where a stream reports usage: in its last chunk with a choice (Fireworks), in an
            extra chunk without choices (vLLM, on request), or nowhere.
        continuous_usage: whether each chunk of a stream holds the usage so far, as vLLM can.
        perf: perf metrics; empty on a server that has none.
        perf_in_body: whether the body holds the metrics too; the headers always do.
    """

    request_id: str
    created_unix_s: int
    model: str
    text: str
    finish_reason: str
    usage: Usage
    stream: bool
    usage_in: Literal["finish", "extra", "none"]
    perf_in_body: bool
    continuous_usage: bool = False
    perf: dict[str, str] = field(default_factory=dict)


def perf_metrics(usage: Usage, timing: Timing) -> dict[str, str]:
    """Return the metrics of a dedicated deployment, seconds and counts as strings."""
    return {
        "prompt-tokens": str(usage.prompt_tokens),
        "cached-prompt-tokens": "0",
        "server-time-to-first-token": f"{timing.first_token_s:.6f}",
        "server-processing-time": f"{timing.processing_s:.6f}",
        "prefill-queue-duration": f"{timing.queue_s:.6f}",
        "prefill-duration": f"{timing.first_token_s - timing.queue_s:.6f}",
        "generation-queue-duration": "0",
        "generation-duration": f"{timing.processing_s - timing.first_token_s:.6f}",
        "num-concurrent-requests": str(timing.in_flight),
        "deployment": _DEPLOYMENT,
    }


def perf_headers(reply: Reply) -> dict[str, str]:
    """Return the metrics as headers; a stream's headers are sent early, and carry only three."""
    sent = _STREAMED_HEADERS.intersection(reply.perf) if reply.stream else reply.perf.keys()
    return {f"fireworks-{name}": reply.perf[name] for name in sent}


def completion(reply: Reply) -> bytes:
    """Return the body of an answer that is not streamed."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": reply.text},
        "finish_reason": reply.finish_reason,
        "logprobs": None,
    }
    usage = {} if reply.usage_in == "none" else {"usage": _usage(reply.usage)}
    return orjson.dumps(_envelope(reply, "chat.completion", [choice]) | usage | _perf(reply))


def content_events(reply: Reply, tokens_per_event: int) -> list[bytes]:
    """Return the events that carry the caption, a few tokens each; the first one has the role."""
    step = tokens_per_event * CHARACTERS_PER_TOKEN
    pieces = [reply.text[at : at + step] for at in range(0, len(reply.text), step)]
    deltas = [{"role": "assistant"}, *({"content": piece} for piece in pieces)]
    chunks = [_chunk(reply, delta) for delta in deltas]
    if reply.continuous_usage:
        for number, chunk in enumerate(chunks):
            so_far = min(number * tokens_per_event, reply.usage.completion_tokens)
            chunk["usage"] = _usage(Usage(reply.usage.prompt_tokens, so_far))
    return [_event(chunk) for chunk in chunks]


def last_events(reply: Reply) -> bytes:
    """Return the events that end a stream: finish reason, usage, [DONE]."""
    finish = _chunk(reply, {}, reply.finish_reason)
    events = [finish]
    if reply.usage_in == "finish":
        finish["usage"] = _usage(reply.usage)
        finish |= _perf(reply)
    elif reply.usage_in == "extra":
        envelope = _envelope(reply, "chat.completion.chunk", [])
        events.append(envelope | {"usage": _usage(reply.usage)})
    return b"".join(map(_event, events)) + b"data: [DONE]\n\n"


def error_body(refusal: Refusal, request_id: str, *, strict: bool) -> bytes:
    """Return the body of a refusal: Fireworks' with `strict`, else vLLM's with an integer code.

    Only Fireworks says that a deployment is scaling up.
    """
    if not strict and refusal is not SCALING_UP:
        kind = _VLLM_TYPES.get(refusal.status, "InternalServerError")
        error: dict[str, Any] = {"message": refusal.message, "type": kind, "param": refusal.param}
        return orjson.dumps({"error": error | {"code": refusal.status}})
    error = {"message": refusal.message, "code": refusal.code, "type": "error"}
    error |= {"param": refusal.param} if refusal.param else {}
    return orjson.dumps({"error": error, "request_id": request_id})


def _envelope(reply: Reply, kind: str, choices: list[Any]) -> dict[str, Any]:
    return {
        "id": reply.request_id,
        "object": kind,
        "created": reply.created_unix_s,
        "model": reply.model,
        "choices": choices,
    }


def _chunk(reply: Reply, delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _envelope(reply, "chat.completion.chunk", [choice]) | {"usage": None}


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _perf(reply: Reply) -> dict[str, Any]:
    return {"perf_metrics": reply.perf} if reply.perf and reply.perf_in_body else {}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
