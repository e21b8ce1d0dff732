"""Finds code and message in the error bodies of various servers; pure (main process)."""

from codecs import BOM_UTF8
from dataclasses import replace
from typing import Any

from captionfleet.errors import FailureCode
from captionfleet.sender.chat.foreign import NOT_JSON, count_of, loads
from captionfleet.sender.routing.verdict import Verdict, classify, judge, one_line

__all__ = ["error_of", "problem_in"]

# OpenAI, vLLM and TGI: error, as object or text; FastAPI: detail, as text or list; many: the rest.
_WORDS = ("error", "message", "detail", "msg", "errors", "error_message")
_MOST_DEPTH = 5
_MOST_ITEMS = 10
_STATUSES = range(400, 600)


def error_of(body: bytes, content_type: str = "") -> tuple[str | None, str]:
    """Code and message of an error body; (None, "") where it is HTML or unreadable.

    Args:
        body: The bytes as received, perhaps cut off.
        content_type: The answer's Content-Type. Of text/plain, only the first line is a message.
    """
    loaded = loads(body)
    if loaded is NOT_JSON:
        return None, _first_line(body) if content_type == "text/plain" else ""
    return _error_in(loaded)


def problem_in(body: object, *, streamed: bool) -> Verdict:
    """The verdict on an error inside a 200 answer, by the upstream's status if it has one."""
    fields = body if isinstance(body, dict) else {}
    code, message = _error_in(fields)
    if (status := _upstream_status(fields.get("error", fields))) is not None:
        verdict = classify(status, code, {}, message)
        if not verdict.fatal:  # a server that began to answer has accepted key and model
            return verdict
    kind = FailureCode.STREAM_ERROR if streamed else FailureCode.MALFORMED_ANSWER
    verdict = judge(kind, f"error in the answer: {code or ''} {message}")
    return replace(verdict, detail=verdict.detail.removesuffix(": "))


def _error_in(body: object) -> tuple[str | None, str]:
    return _code_in(body), one_line(_words_in(body))


def _code_in(body: object) -> str | None:
    body = body[0] if isinstance(body, list) and body else body  # as Google sends its errors
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    error = fields.get("error", fields)
    code = error.get("code") if isinstance(error, dict) else None
    is_code = isinstance(code, str | int) and not isinstance(code, bool)
    return one_line(str(code), 60) if is_code else None


def _words_in(value: object, depth: int = _MOST_DEPTH) -> str:
    """The first text in the fields where servers put messages."""
    if isinstance(value, str):
        return value.strip()
    if not depth:
        return ""
    if isinstance(value, list):
        every = (_words_in(item, depth - 1) for item in value[:_MOST_ITEMS])
        return next(filter(None, every), "")
    if not isinstance(value, dict):
        return ""
    every = (_words_in(value.get(key), depth - 1) for key in _WORDS)
    words = next(filter(None, every), "")
    return f"{place}: {words}" if words and (place := _place_in(value)) else words


def _place_in(fields: dict[str, Any]) -> str:
    """Where FastAPI found the mistake: `loc` is a path of names and numbers."""
    path = fields.get("loc")
    if not isinstance(path, list):
        return ""
    return ".".join(str(part)[:40] for part in path[:_MOST_ITEMS] if isinstance(part, str | int))


def _first_line(body: bytes) -> str:
    text = body.removeprefix(BOM_UTF8).decode("utf-8", "replace").strip()
    is_markup = text.startswith("<")
    return "" if is_markup or not text else one_line(text.splitlines()[0])


def _upstream_status(error: object) -> int | None:
    if not isinstance(error, dict):
        return None
    statuses = (count_of(error.get(key)) for key in ("status_code", "status", "code"))
    return next((number for number in statuses if number in _STATUSES), None)
