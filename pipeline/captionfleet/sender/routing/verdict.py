"""Classifies a failed request by status and code, never by message text; pure (main process)."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime

from captionfleet.errors import FailureCode
from captionfleet.messages import Usage

__all__ = ["MAX_RETRY_AFTER_S", "Verdict", "classify", "judge", "one_line", "retry_after_s"]

MAX_RETRY_AFTER_S = 120.0
_RETRY_AFTER = (
    ("retry-after-ms", 0.001),
    ("retry-after", 1.0),
    ("llm_provider-retry-after-ms", 0.001),
    ("llm_provider-retry-after", 1.0),
)
_SCALING_UP = "DEPLOYMENT_SCALING_UP"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one request failed, and the consequences for clip, window and deployment.

    Attributes:
        detail: One line for people; never a key, never a body.
        retry: Whether the clip may be asked again.
        burns_attempt: Whether it uses up an attempt; not if the deployment is still starting.
        shrinks: Whether fewer requests should be in flight there.
        blames: Whether it counts towards ejecting the deployment.
        fatal: Whether no request to this deployment can succeed: key, account, model string.
        rejects: Whether it refuses this clip (4xx); another deployment may take it.
        untaken: Whether the deployment never took the request: no connection, or no place.
        stale: Whether the request seems to have met a pooled connection that the server had closed,
            which says nothing about deployment and clip.
        is_cut_off: Whether max_tokens was reached, so that more of them may bring a caption.
        retry_after_s: The server's Retry-After, bounded; 0.0 without one.
        usage: Tokens that the failed answer reports; they are paid for.
    """

    code: FailureCode
    detail: str
    status: int | None = None
    retry: bool = False
    burns_attempt: bool = True
    shrinks: bool = False
    blames: bool = False
    fatal: bool = False
    rejects: bool = False
    untaken: bool = False
    stale: bool = False
    is_cut_off: bool = False
    retry_after_s: float = 0.0
    usage: Usage = field(default_factory=Usage)


_KINDS = {
    kind.code: kind
    for kind in (
        Verdict(
            FailureCode.CONNECT_FAILED, "", retry=True, shrinks=True, blames=True, untaken=True
        ),
        Verdict(FailureCode.DISCONNECTED, "", retry=True, blames=True),
        Verdict(FailureCode.TIMEOUT, "", retry=True, shrinks=True, blames=True),
        Verdict(FailureCode.OVERLOADED, "", retry=True, shrinks=True, untaken=True),
        Verdict(FailureCode.SCALING_UP, "", retry=True, burns_attempt=False),
        Verdict(FailureCode.SERVER_ERROR, "", retry=True, blames=True),
        Verdict(FailureCode.STREAM_ERROR, "", retry=True, blames=True),
        Verdict(FailureCode.MALFORMED_ANSWER, "", retry=True, blames=True),
        Verdict(FailureCode.TRUNCATED_ANSWER, "", retry=True, blames=True),
        Verdict(FailureCode.EMPTY_CAPTION, "", retry=True),
        Verdict(FailureCode.UNFINISHED_ANSWER, "", retry=True),
        Verdict(FailureCode.INVALID_STRUCTURE, "", retry=True),
        Verdict(FailureCode.STRUCTURE_CUT_OFF, ""),
        Verdict(FailureCode.REJECTED, "", rejects=True),
        Verdict(FailureCode.PAYLOAD_REFUSED, "", rejects=True),
        Verdict(FailureCode.MODEL_NOT_FOUND, "", retry=True, fatal=True),
        Verdict(FailureCode.UNAUTHORIZED, "", retry=True, fatal=True),
        Verdict(FailureCode.SOURCE_CHANGED, ""),
        Verdict(FailureCode.SOURCE_UNREADABLE, "", retry=True),
    )
}

_CODES = {
    **dict.fromkeys((401, 402, 403, 407, 412), FailureCode.UNAUTHORIZED),
    404: FailureCode.MODEL_NOT_FOUND,
    # 409: a conflict within the server; a later request need not meet it.
    409: FailureCode.SERVER_ERROR,
    413: FailureCode.PAYLOAD_REFUSED,
    # 499: nginx believed that the client had left.
    499: FailureCode.DISCONNECTED,
    **dict.fromkeys((408, 504, 524), FailureCode.TIMEOUT),
    # 425: weights are being swapped; 583: the upstream's overload, seen inside streams.
    **dict.fromkeys((425, 429, 503, 529, 583), FailureCode.OVERLOADED),
}


def judge(code: FailureCode, detail: str, *, retry: bool | None = None) -> Verdict:
    """The verdict on a failure without an HTTP status; `retry` overrides its kind's default."""
    kind = _KINDS[code]
    return replace(kind, detail=one_line(detail), retry=kind.retry if retry is None else retry)


def classify(
    status: int, error_code: str | None, headers: Mapping[str, str], message: str = ""
) -> Verdict:
    """The verdict on an answer other than 200.

    Args:
        status: HTTP status.
        error_code: `error.code` of the body, where there is one.
        headers: Looked up in lower case.
        message: The server's own words, for `detail` alone.
    """
    scaling_up = status == 503 and error_code == _SCALING_UP  # noqa: PLR2004 - an HTTP status
    code = FailureCode.SCALING_UP if scaling_up else _code_of(status)
    is_news = error_code and error_code != str(status)  # vLLM repeats the status as error.code
    named = f"HTTP {status}" + (f" {error_code}" if is_news else "")
    verdict = replace(
        judge(code, f"{named}: {message}" if message else named),
        status=status,
        retry_after_s=retry_after_s(headers),
    )
    if code is FailureCode.REJECTED and status < 400:  # noqa: PLR2004 - redirects, see below
        # Redirects are not followed, so a server that redirects does so for every clip.
        return replace(verdict, retry=True, fatal=True, rejects=False)
    # A 503 may mean that a server is down; a 408 means only that this request was slow, and a 409
    # that it conflicted with another.
    blames = {503: True, 408: False, 409: False}.get(status, verdict.blames)
    return replace(verdict, blames=blames and not scaling_up)


def _code_of(status: int) -> FailureCode:
    match status // 100:
        case 3 | 4:
            return _CODES.get(status, FailureCode.REJECTED)
        case 1 | 2:
            return FailureCode.MALFORMED_ANSWER
        case _:
            return _CODES.get(status, FailureCode.SERVER_ERROR)


def retry_after_s(headers: Mapping[str, str]) -> float:
    """`Retry-After` in seconds, within 0 and `MAX_RETRY_AFTER_S`; 0.0 if absent or invalid.

    An HTTP date counts from the server's own `Date`, so that a wrong local clock does no harm;
    without a `Date` it counts from the local clock. LiteLLM passes its upstream's header on with a
    prefix.
    """
    for name, unit_s in _RETRY_AFTER:
        if name in headers:
            seconds = _number(headers[name]) * unit_s
            if math.isnan(seconds):
                served_s = _date_s(headers.get("date", ""))
                since_s = time.time() if math.isnan(served_s) else served_s  # noqa: TID251 - a date
                seconds = _date_s(headers[name]) - since_s
            if seconds > 0:
                return min(seconds, MAX_RETRY_AFTER_S)
    return 0.0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _date_s(text: str) -> float:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return math.nan


def one_line(text: str, limit: int = 300) -> str:
    """Untrusted text made safe for a log line: printable, one line, bounded."""
    text = text[: 4 * limit]
    clean = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(clean.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
