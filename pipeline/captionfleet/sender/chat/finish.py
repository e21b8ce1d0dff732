"""Interprets the finish reasons of many servers; pure (main process)."""

from dataclasses import replace

from captionfleet.errors import FailureCode
from captionfleet.sender.routing.verdict import Verdict, judge, one_line

__all__ = [
    "LENGTH",
    "STOP",
    "UNKNOWN",
    "finish_reason_of",
    "is_filtered",
    "stopped_before_caption",
]

STOP, LENGTH = "stop", "length"
UNKNOWN = "unknown"
"""The answer is complete, without a finish reason."""
_MOST_CHARS = 40

_SAME = {
    **dict.fromkeys(("eos", "eos_token", "end_turn", "stop_sequence", "completed"), STOP),
    **dict.fromkeys(("max_tokens", "max_length", "max_output_tokens", "model_length"), LENGTH),
}
# A filter cuts the text anywhere, and would do so again.
_FILTERED = frozenset({"content_filter", "safety", "recitation", "prohibited_content", "refusal"})
_TOOLS = frozenset({"tool_calls", "tool_use", "function_call"})
# The server broke off: abort (vLLM), error (OpenRouter), insufficient resources (DeepSeek).
_BROKEN = frozenset({"abort", "cancelled", "error", "insufficient_system_resource"})


def finish_reason_of(value: object) -> str:
    """The finish reason by its OpenAI name, or as the server spells it; "" without one."""
    if not isinstance(value, str):
        return ""
    reason = one_line(value, _MOST_CHARS)
    plain = reason.lower()
    known = {STOP, LENGTH} | _FILTERED | _TOOLS | _BROKEN
    return _SAME.get(plain, plain if plain in known else reason)


def is_filtered(reason: str) -> bool:
    """Whether a filter ended the answer, or removed all of it."""
    return reason in _FILTERED


def stopped_before_caption(
    reason: str, *, text: str, has_reasoning: bool, tokens: int | None
) -> Verdict | None:
    """Why a complete answer holds no caption; None if it holds one.

    The verdict has no retry if a second request would cost the same and end the same way.
    """
    if reason in _BROKEN:
        return _unfinished(f"finish_reason {reason}", retry=True)
    if text:
        return None
    if is_filtered(reason):
        return _unfinished(f"finish_reason {reason}", retry=False)
    if reason == LENGTH:
        used_up = _used_up(tokens, has_reasoning=has_reasoning)
        return replace(_empty(used_up, retry=False), is_cut_off=True)
    if has_reasoning:
        advice = "turn thinking off, or correct the server's reasoning parser"
        return _empty(f"the answer holds reasoning and no caption: {advice}", retry=False)
    words, is_empty = f"finish_reason {reason}", reason in {STOP, UNKNOWN}
    return (_empty if is_empty else _unfinished)(words, retry=reason not in _TOOLS)


def _used_up(tokens: int | None, *, has_reasoning: bool) -> str:
    after = f" after {tokens} tokens" if tokens is not None else ""
    doing = "while the model was thinking" if has_reasoning else "before the caption began"
    return f"max_tokens was reached{after} {doing}: raise max_tokens"


def _unfinished(detail: str, *, retry: bool) -> Verdict:
    return judge(FailureCode.UNFINISHED_ANSWER, detail, retry=retry)


def _empty(detail: str, *, retry: bool) -> Verdict:
    return judge(FailureCode.EMPTY_CAPTION, detail, retry=retry)
