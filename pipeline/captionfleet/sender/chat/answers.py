"""Reads the answer of a chat-completions request, whole or streamed; pure (main process).

A broken or hostile server may have written it: any field may be missing, of another type or absurd,
and reading it must never raise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from captionfleet.errors import FailureCode
from captionfleet.messages import Usage
from captionfleet.sender.chat.error_body import error_of, problem_in
from captionfleet.sender.chat.events import EventLines, is_event_stream
from captionfleet.sender.chat.finish import (
    UNKNOWN,
    finish_reason_of,
    is_filtered,
    stopped_before_caption,
)
from captionfleet.sender.chat.foreign import NOT_JSON, loads
from captionfleet.sender.chat.server_figures import server_metrics, usage_of
from captionfleet.sender.chat.thinking import without_thinking
from captionfleet.sender.routing.verdict import Verdict, judge

__all__ = ["Answer", "AnswerReader", "error_of", "server_metrics"]

_HEARTBEATS = frozenset({b"ping", b"heartbeat", b"keepalive"})
_REASONING = ("reasoning_content", "reasoning")  # vLLM and DeepSeek; OpenRouter and later vLLM


@dataclass(frozen=True, slots=True)
class Answer:
    """A caption as the server returned it; `server` holds its own timings and its request id.

    `data` is the caption as JSON, if the job has a schema that it fits. `reasoning` is the model's
    thinking before the caption. `is_refused` means that the server marks the text as a refusal, or
    that a filter ended it.
    """

    text: str
    finish_reason: str
    usage: Usage
    server: dict[str, float | str]
    ttft_s: float | None = None
    data: Any = None
    reasoning: str = ""
    is_refused: bool = False


class AnswerReader:
    """Reads one 200 answer, whole or streamed, from its bytes.

    A stream ends with `[DONE]` or with the connection. A finish reason does not end it: some
    servers write one into every chunk.

    Args:
        streamed: Whether the Content-Type announces server-sent events; the first bytes
            overrule it.
    """

    def __init__(self, *, streamed: bool) -> None:
        self._lines = EventLines() if streamed else None
        self._start: bytearray | None = bytearray()  # until the kind of answer is known
        self._whole = bytearray()
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._reasoning: list[str] = []
        self._finish_reason = ""
        self._has_text_after_finish = False
        self._is_finish_bare = False  # the finish reason came in a chunk without text
        self._is_first_marked = False  # the first text came with one, as perhaps every chunk does
        self._usage: object = None
        self._perf: object = None
        self._problem: Verdict | None = None
        self._ended = False

    @property
    def has_text(self) -> bool:
        """Whether the first token of the caption has arrived."""
        return bool(self._text)

    @property
    def is_complete(self) -> bool:
        """Whether the caption is complete even if the connection breaks now."""
        if self._problem is not None:
            return False
        if self._lines is None:
            return _has_finish(self._whole)
        return self._ended or bool(self._finish_reason and not self._has_text_after_finish)

    @property
    def awaits_end(self) -> bool:
        """Whether only usage and the end of the stream are still to come.

        Further text takes this back.
        """
        is_said_once = self._is_finish_bare and not self._is_first_marked
        return is_said_once and self.has_text and self.is_complete

    @property
    def is_over(self) -> bool:
        """Whether nothing that matters can follow."""
        return self._ended or self._problem is not None

    def feed(self, portion: bytes) -> None:
        """Take the next bytes of the answer."""
        if self._start is not None:
            self._start += portion
            portion = bytes(self._start)
            streamed = is_event_stream(portion, is_declared=self._lines is not None)
            if streamed is None:
                return
            self._start, self._lines = None, EventLines() if streamed else None
        if self._lines is None:
            self._whole += portion
            return
        for event, data in self._lines.feed(portion):
            self._take_event(event, data)

    def close(self, headers: Mapping[str, str]) -> Answer | Verdict:
        """End the answer; return the caption or the failure. `headers` have lower-case names."""
        self._whole += self._start or b""  # too short to decide
        if self._lines is None:
            self._take_chunk(loads(bytes(self._whole)))
        elif not self.is_over:
            for event, data in self._lines.close():
                if loads(data) is not NOT_JSON or data == b"[DONE]":
                    self._take_event(event, data)
        metrics = server_metrics(headers, self._perf)
        usage = usage_of(self._usage, metrics)
        if self._problem is not None:
            return replace(self._problem, usage=usage)
        return self._result(metrics, usage)

    def _take_event(self, event: bytes, data: bytes) -> None:
        data = data.strip()
        if self.is_over or event in _HEARTBEATS or not data:
            return
        if data == b"[DONE]":
            self._ended = True
            return
        chunk = loads(data)
        if event == b"error":
            self._fail(problem_in(chunk, streamed=True))
        elif chunk is NOT_JSON or isinstance(chunk, dict):
            self._take_chunk(chunk)  # null, lists and other values are heartbeats

    def _take_chunk(self, chunk: object) -> None:
        if not isinstance(chunk, dict):
            self._fail(judge(FailureCode.MALFORMED_ANSWER, "the answer is not a JSON object"))
            return
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = usage
        self._perf = chunk.get("perf_metrics") or self._perf
        if chunk.get("error"):
            self._fail(problem_in(chunk, streamed=self._lines is not None))
        elif (choice := _first_choice(chunk)) is not None:
            self._take_choice(choice)
        elif self._lines is None:
            self._fail(judge(FailureCode.MALFORMED_ANSWER, "the answer has no choices"))

    def _take_choice(self, choice: dict[str, Any]) -> None:
        message = self._message_in(choice)
        text = _text_of(message.get("content")) or _text_of(choice.get("text"))
        if text:
            self._text.append(text)
            self._has_text_after_finish = bool(self._finish_reason)
        if refusal := _text_of(message.get("refusal")):
            self._refusal.append(refusal)
        thought = (_text_of(message.get(key)) for key in _REASONING)
        self._reasoning.append(next(filter(None, thought), ""))
        if reason := finish_reason_of(choice.get("finish_reason")):
            self._finish_reason = reason
            self._is_finish_bare = not text
            self._is_first_marked |= bool(text) and len(self._text) == 1

    def _message_in(self, choice: dict[str, Any]) -> dict[str, Any]:
        """The message or delta of a choice; a stream's last chunk may repeat the whole message."""
        keys = ("message", "delta") if self._lines is None else ("delta", "message")
        parts = (choice[key] for key in keys if isinstance(choice.get(key), dict))
        found: dict[str, Any] = next(parts, {})
        is_repeated = self._text and found is not choice.get("delta")
        return {} if is_repeated else found

    def _fail(self, problem: Verdict) -> None:
        """Record a problem, unless the caption is complete and therefore kept."""
        if self._lines is None or not self.is_complete:
            self._problem = problem

    def _result(self, metrics: dict[str, float | str], usage: Usage) -> Answer | Verdict:
        reason = self._finish_reason
        if not reason and self._lines is not None and not self._ended:
            words = "the stream ended without finish_reason and [DONE]"
            return replace(judge(FailureCode.TRUNCATED_ANSWER, words), usage=usage)
        text, thought = without_thinking(_repaired("".join(self._text)))
        reasoning = _repaired("".join(self._reasoning)).strip() or thought
        refusal = _repaired("".join(self._refusal)).strip()
        problem = stopped_before_caption(
            reason or UNKNOWN,
            text=text or refusal,
            has_reasoning=bool(reasoning),
            tokens=usage.completion_tokens,
        )
        if problem is not None:
            return replace(problem, usage=usage)
        ttft_s = metrics.get("server-time-to-first-token")
        return Answer(
            text=text or refusal,
            finish_reason=reason or UNKNOWN,
            usage=usage,
            server=metrics,
            ttft_s=ttft_s if isinstance(ttft_s, float) else None,
            reasoning=reasoning,
            is_refused=not text or is_filtered(reason),
        )


def _has_finish(whole: bytes | bytearray) -> bool:
    """Whether the bytes are a whole completion with a finish reason."""
    chunk = loads(bytes(whole))
    choice = _first_choice(chunk) if isinstance(chunk, dict) else None
    return choice is not None and bool(finish_reason_of(choice.get("finish_reason")))


def _first_choice(chunk: dict[str, Any]) -> dict[str, Any] | None:
    """The choice with index 0; a single choice counts with any index."""
    choices = chunk.get("choices")
    if not isinstance(choices, list):
        return None
    only = choices[0] if len(choices) == 1 and isinstance(choices[0], dict) else None
    firsts = (c for c in choices if isinstance(c, dict) and c.get("index") in (None, 0, "0"))
    return next(firsts, only)


def _text_of(content: object) -> str:
    """The content of a message: text, one part, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    return "".join(map(_part_text, parts))


def _part_text(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type") in ("thinking", "reasoning"):
        return ""
    text = part.get("text")
    return text if isinstance(text, str) else ""


def _repaired(text: str) -> str:
    """The text with surrogate pairs joined that two chunks split, and lone surrogates replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
