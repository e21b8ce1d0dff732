"""The chat-completions protocol: caption in, whole or streamed (main process; pure).

Everything here was written by a server that may be broken or hostile: any field may be
missing, of another type or absurd, and none of that may raise.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from pipeline.errors import FailureCode
from pipeline.messages import Usage
from pipeline.sender.events import EventLines
from pipeline.sender.verdict import Verdict, classify, judge, one_line

__all__ = ["Answer", "AnswerReader", "error_of", "server_metrics"]

# https://docs.fireworks.ai: headers `fireworks-<name>`, or `perf_metrics` in the body.
_METRICS = frozenset(
    """
    prompt-tokens cached-prompt-tokens server-time-to-first-token server-processing-time
    backend-host num-concurrent-requests deployment tokenizer-queue-duration tokenizer-duration
    prefill-queue-duration prefill-duration generation-queue-duration generation-duration
    speculation-generated-tokens speculation-acceptance speculation-prompt-tokens
    speculation-prompt-matched-tokens
    """.split()
)
_REQUEST_IDS = ("x-request-id", "x-fireworks-request-id", "cf-ray")
_FINISHED = frozenset({"stop", "length"})
_DECIDED = frozenset({"content_filter", "tool_calls", "function_call"})
_MAX_COUNT = 2**53
_MAX_NUMBER_CHARS = 40
_NOT_JSON = object()


@dataclass(frozen=True, slots=True)
class Answer:
    """A caption as the server gave it; `server` holds its own timings and its request id.

    `data` is the caption as JSON, where a schema was asked for and the caption fits it.
    """

    text: str
    finish_reason: str
    usage: Usage
    server: dict[str, float | str]
    ttft_s: float | None = None
    data: Any = None


class AnswerReader:
    """Reads one 200 answer from its bytes; the same for whole and for streamed ones.

    Args:
        streamed: Whether the bytes are server-sent events, by the answer's Content-Type.
    """

    def __init__(self, *, streamed: bool) -> None:
        self._lines = EventLines() if streamed else None
        self._whole = bytearray()
        self._text: list[str] = []
        self._finish_reason = ""
        self._usage: object = None
        self._perf: object = None
        self._problem: Verdict | None = None
        self._ended = False

    @property
    def has_text(self) -> bool:
        """Whether a first token of the caption is there."""
        return bool(self._text)

    @property
    def is_complete(self) -> bool:
        """Whether the caption is complete; usage and the end mark of a stream may follow."""
        return bool(self._finish_reason) or self.is_over

    @property
    def is_over(self) -> bool:
        """Whether nothing of interest can follow."""
        return self._ended or self._problem is not None

    def feed(self, portion: bytes) -> None:
        """Take the next bytes of the answer."""
        if self._lines is None:
            self._whole += portion
            return
        for event, data in self._lines.feed(portion):
            self._take_event(event, data)

    def close(self, headers: Mapping[str, str]) -> Answer | Verdict:
        """What the answer came to; `headers` are looked up in lower case."""
        if self._lines is None:
            self._take_chunk(_loads(bytes(self._whole)), "message")
        elif not self.is_over:
            for event, data in self._lines.close():
                if _loads(data) is not _NOT_JSON or data == b"[DONE]":
                    self._take_event(event, data)
        return self._problem or self._result(headers)

    def _take_event(self, event: bytes, data: bytes) -> None:
        if self.is_over or event in {b"ping", b"heartbeat", b"keepalive"}:
            return
        if data.strip() == b"[DONE]":
            self._ended = True
        elif event == b"error":
            self._fail(_problem_in(_loads(data), streamed=True))
        else:
            self._take_chunk(_loads(data), "delta")

    def _take_chunk(self, chunk: object, part: str) -> None:
        if not isinstance(chunk, dict):
            self._fail(judge(FailureCode.MALFORMED_ANSWER, "the answer is no JSON object"))
        elif chunk.get("error"):
            self._fail(_problem_in(chunk, streamed=part == "delta"))
        else:
            self._usage = chunk.get("usage") or self._usage
            self._perf = chunk.get("perf_metrics") or self._perf
            self._take_choice(_first_choice(chunk), part)

    def _take_choice(self, choice: dict[str, Any] | None, part: str) -> None:
        if choice is None:
            if part == "message":
                self._fail(judge(FailureCode.MALFORMED_ANSWER, "the answer has no choices"))
            return
        message = choice.get(part)
        if text := _text_of(message.get("content")) if isinstance(message, dict) else "":
            self._text.append(text)
        if isinstance(reason := choice.get("finish_reason"), str):
            self._finish_reason = reason

    def _fail(self, problem: Verdict) -> None:
        """Note what is wrong, unless the caption is complete: it is paid for, and right."""
        if self._finish_reason not in _FINISHED:
            self._problem = problem

    def _result(self, headers: Mapping[str, str]) -> Answer | Verdict:
        if not self._finish_reason and self._lines is not None:
            return judge(FailureCode.TRUNCATED_ANSWER, "the stream ended without finish_reason")
        text = _repaired("".join(self._text)).strip()
        if (problem := _no_caption(text, self._finish_reason)) is not None:
            return problem
        metrics = server_metrics(headers, self._perf)
        told = metrics.get("server-time-to-first-token")
        return Answer(
            text=text,
            finish_reason=self._finish_reason,
            usage=_usage_of(self._usage, metrics),
            server=metrics,
            ttft_s=told if isinstance(told, float) else None,
        )


def _no_caption(text: str, finish_reason: str) -> Verdict | None:
    """Why a complete answer is no caption, judged by what it says."""
    if finish_reason not in _FINISHED:
        verdict = judge(
            FailureCode.UNFINISHED_ANSWER, f"finish_reason {finish_reason or 'missing'}"
        )
        return replace(verdict, retry=finish_reason not in _DECIDED)
    if not text:
        return judge(FailureCode.EMPTY_CAPTION, f"finish_reason {finish_reason}")
    return None


def error_of(body: bytes) -> tuple[str | None, str]:
    """Code and message of an error body; (None, "") where it is HTML or nonsense."""
    loaded = _loads(body)
    return _error_in(loaded) if isinstance(loaded, dict) else (None, "")


def _error_in(body: dict[str, Any]) -> tuple[str | None, str]:
    error = body.get("error", body)
    if isinstance(error, str):
        return None, error
    if not isinstance(error, dict):
        return None, ""
    code, message = error.get("code"), error.get("message")
    named = one_line(str(code), 60) if isinstance(code, str | int) else None
    return named, message if isinstance(message, str) else ""


def _problem_in(body: object, *, streamed: bool) -> Verdict:
    """The verdict on an error inside a 200 answer, by the upstream's status if it is told."""
    fields = body if isinstance(body, dict) else {}
    code, message = _error_in(fields)
    if (status := _upstream_status(fields.get("error", fields))) is not None:
        verdict = classify(status, code, {}, message)
        if not verdict.fatal:  # whoever began to answer knows the key and the model
            return verdict
    kind = FailureCode.STREAM_ERROR if streamed else FailureCode.MALFORMED_ANSWER
    return judge(kind, f"error in the answer: {code or ''} {message}")


def _upstream_status(error: object) -> int | None:
    if not isinstance(error, dict):
        return None
    told = (_count(error.get(key)) for key in ("status_code", "status", "code"))
    return next((n for n in told if n is not None and 400 <= n < 600), None)  # noqa: PLR2004 - HTTP


def server_metrics(headers: Mapping[str, str], perf: object) -> dict[str, float | str]:
    """The documented timings of a server, from headers or body, and its request id.

    Numbers come as numbers or as text (seconds); what is neither is kept as short text.
    """
    told: dict[str, object] = {
        name: headers[f"fireworks-{name}"] for name in _METRICS if f"fireworks-{name}" in headers
    }
    if isinstance(perf, dict):
        told |= {name: perf[name] for name in _METRICS if name in perf}
    metrics: dict[str, float | str] = {}
    for name, value in sorted(told.items()):
        if (number := _float(value)) is not None:
            metrics[name] = number
        elif isinstance(value, str) and (text := one_line(value, 100)):
            metrics[name] = text
    for name in _REQUEST_IDS:
        if name in headers:
            metrics[name] = one_line(headers[name], 100)
            break
    return metrics


def _usage_of(told: object, metrics: dict[str, float | str]) -> Usage:
    usage = told if isinstance(told, dict) else {}
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None

    def first(*values: object) -> int | None:
        return next((n for n in map(_count, values) if n is not None), None)

    return Usage(
        prompt_tokens=first(usage.get("prompt_tokens"), metrics.get("prompt-tokens")),
        completion_tokens=first(usage.get("completion_tokens")),
        total_tokens=first(usage.get("total_tokens")),
        cached_tokens=first(cached, metrics.get("cached-prompt-tokens")),
    )


def _count(value: object) -> int | None:
    number = _float(value)
    return int(number) if number is not None and 0 <= number < _MAX_COUNT else None


def _float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > _MAX_NUMBER_CHARS:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _first_choice(chunk: dict[str, Any]) -> dict[str, Any] | None:
    choices = chunk.get("choices")
    if not isinstance(choices, list):
        return None
    return next((c for c in choices if isinstance(c, dict) and c.get("index") in (None, 0)), None)


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _repaired(text: str) -> str:
    """Surrogates joined where two chunks hold halves of one character, else replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _loads(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        # Knows NaN, lone surrogates and large integers, which orjson rightly refuses.
        return json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return _NOT_JSON
