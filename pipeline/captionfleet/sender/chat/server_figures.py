"""Reads token counts and timings that a server reports with an answer; pure (main process)."""

from collections.abc import Mapping

from captionfleet.ledger.format.line_keys import SERVER
from captionfleet.messages import Usage
from captionfleet.sender.chat.foreign import count_of, number_of
from captionfleet.sender.routing.verdict import one_line

__all__ = ["server_metrics", "usage_of"]

_REQUEST_IDS = ("x-request-id", "x-fireworks-request-id", "cf-ray")
_METRICS = frozenset(column.name for column in SERVER if column.name not in _REQUEST_IDS)


def server_metrics(headers: Mapping[str, str], perf: object) -> dict[str, float | str]:
    """A server's documented timings, from headers or body, and its request id.

    Numbers may be numbers or text (seconds); anything else is kept as short text.
    """
    found: dict[str, object] = {
        name: headers[f"fireworks-{name}"] for name in _METRICS if f"fireworks-{name}" in headers
    }
    if isinstance(perf, dict):
        found |= {name: perf[name] for name in _METRICS if name in perf}
    metrics: dict[str, float | str] = {}
    for name, value in sorted(found.items()):
        if (number := number_of(value)) is not None:
            metrics[name] = number
        elif isinstance(value, str) and (text := one_line(value, 100)):
            metrics[name] = text
    for name in _REQUEST_IDS:
        if name in headers:
            metrics[name] = one_line(headers[name], 100)
            break
    return metrics


def usage_of(reported: object, metrics: Mapping[str, float | str]) -> Usage:
    """Token counts under their chat-completions names, or those of later APIs (`input_tokens`)."""
    usage = reported if isinstance(reported, dict) else {}
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None

    def first(*values: object) -> int | None:
        return next((n for n in map(count_of, values) if n is not None), None)

    return Usage(
        prompt_tokens=first(
            usage.get("prompt_tokens"), usage.get("input_tokens"), metrics.get("prompt-tokens")
        ),
        completion_tokens=first(usage.get("completion_tokens"), usage.get("output_tokens")),
        total_tokens=first(usage.get("total_tokens")),
        cached_tokens=first(cached, metrics.get("cached-prompt-tokens")),
    )
