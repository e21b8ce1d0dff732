"""Classifies refusals of the control plane, and what they mean for a command; pure (main)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from captionfleet.errors import DeploymentError

__all__ = [
    "NOT_DONE",
    "AbortedError",
    "BadRequestError",
    "BlockedError",
    "ControlError",
    "DeniedError",
    "ExistsError",
    "MissingError",
    "QuotaError",
    "RateError",
    "Refusal",
    "UnansweredError",
    "UnroutedError",
    "error_for",
    "read_refusal",
]

_MAX_MESSAGE_CHARS = 300
# https://grpc.io/docs/guides/status-codes
_GRPC = {
    3: "INVALID_ARGUMENT",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    16: "UNAUTHENTICATED",
}


class ControlError(DeploymentError):
    """Raised when a call to the control plane failed."""


class DeniedError(ControlError):
    """Raised when the key is refused, or lacks the permission."""


class QuotaError(ControlError):
    """Raised when the account's quota of GPUs is used up."""


class RateError(ControlError):
    """Raised when a change is refused by a 429 that names no quota: calls come too fast."""


class MissingError(ControlError):
    """Raised when the control plane says that there is no such deployment, model or account."""


class UnroutedError(ControlError):
    """Raised for a 404 without the control plane's code: a gateway may have answered."""


class ExistsError(ControlError):
    """Raised when a deployment of this name exists."""


class AbortedError(ControlError):
    """Raised when another change of the deployment is under way; the call may succeed later."""


class BlockedError(ControlError):
    """Raised when the deployment's state forbids the call, unless checks are ignored."""


class BadRequestError(ControlError):
    """Raised when the control plane finds the arguments invalid."""

    exit_code = 2


class UnansweredError(ControlError):
    """Raised when no answer came, or only 5xx, so that the result is unknown."""


NOT_DONE = (
    AbortedError,
    BadRequestError,
    BlockedError,
    DeniedError,
    ExistsError,
    MissingError,
    QuotaError,
    RateError,
)
"""Errors that prove that the call changed nothing."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer other than 2xx.

    Attributes:
        code: the gRPC code's name, where one was given.
        message: one line for people.
        is_quota: whether a quota is used up, so that a retry is useless.
    """

    status: int
    code: str
    message: str
    is_quota: bool = False


def read_refusal(status: int, body: bytes) -> Refusal:
    """Parse the body of an error, which can be anything.

    It may be grpc-gateway's `{"code", "message", "details"}`, the same wrapped in `error`, that of
    Google's APIs, where `status` names the code and `code` repeats HTTP's, or the page of a proxy.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else None
    if not isinstance(error, dict):
        return Refusal(status, "", _line(error) if isinstance(error, str) else "")
    code = error.get("code")
    if isinstance(code, int):
        code = _GRPC.get(code) or error.get("status")
    name = _line(code) if isinstance(code, str) else ""
    return Refusal(status, name[:40], _line(error.get("message")), _is_quota(error))


def error_for(refusal: Refusal, what: str, *, is_look: bool = False) -> ControlError:
    """The error for a refused call.

    Args:
        refusal: The answer.
        what: What was tried, as in "create deployment a".
        is_look: Whether the call only reads. A look that is refused because calls come too fast
            says nothing about the deployment: it is as good as unanswered.
    """
    kind = _KINDS_BY_CODE.get(refusal.code) or _KINDS_BY_STATUS.get(refusal.status)
    if kind is None:
        kind = UnansweredError if refusal.status >= 500 else ControlError  # noqa: PLR2004 - 5xx
    if kind is RateError:
        kind = UnansweredError if is_look else QuotaError if refusal.is_quota else RateError
    message = f": {refusal.message}" if refusal.message else ""
    code = f" {refusal.code}" if refusal.code else ""
    return kind(f"{what}: the control plane answers {refusal.status}{code}{message}{_advice(kind)}")


_KINDS_BY_CODE: Mapping[str, type[ControlError]] = {
    "INVALID_ARGUMENT": BadRequestError,
    "OUT_OF_RANGE": BadRequestError,
    "NOT_FOUND": MissingError,
    "ALREADY_EXISTS": ExistsError,
    "ABORTED": AbortedError,
    "PERMISSION_DENIED": DeniedError,
    "UNAUTHENTICATED": DeniedError,
    "RESOURCE_EXHAUSTED": RateError,
    "FAILED_PRECONDITION": BlockedError,
}
_KINDS_BY_STATUS: Mapping[int, type[ControlError]] = {
    400: BadRequestError,
    401: DeniedError,
    402: DeniedError,
    403: DeniedError,
    404: UnroutedError,
    409: ExistsError,
    412: DeniedError,
    422: BadRequestError,
    429: RateError,
}


def _advice(kind: type[ControlError]) -> str:
    if kind is DeniedError:
        return " (is it a key of this account, with the rights of an admin?)"
    if kind in {QuotaError, RateError}:
        return " (`firectl quota list` shows the account's quotas)"
    return ""


def _is_quota(error: Mapping[str, Any]) -> bool:
    details = error.get("details")
    if not isinstance(details, list):
        return False
    return any(isinstance(one, dict) and "QuotaFailure" in str(one.get("@type")) for one in details)


def _line(message: object) -> str:
    text = " ".join(str(message).split()) if message else ""
    text = "".join(c for c in text if c.isprintable())
    return text if len(text) <= _MAX_MESSAGE_CHARS else f"{text[:_MAX_MESSAGE_CHARS]}…"
