"""Defines a deployment's refusals: status, code and message; pure (server's process)."""

from dataclasses import dataclass

__all__ = [
    "SATURATED",
    "SCALING_UP",
    "Refusal",
    "RefusedError",
    "invalid",
    "joined",
    "of_status",
    "too_large",
]

_CODES = {404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a refused request.

    Attributes:
        code: Fireworks' word in `error.code`.
        param: the request field that is at fault, where one is.
    """

    status: int
    code: str
    message: str
    param: str | None = None


SATURATED = Refusal(429, "RESOURCE_EXHAUSTED", "all slots and places in the queue are taken")
SCALING_UP = Refusal(
    503,
    "DEPLOYMENT_SCALING_UP",
    "Deployment is currently scaled to zero and is scaling up. "
    "Please retry your request in a few minutes.",
)


class RefusedError(Exception):
    """Raised to answer a request with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def invalid(message: str, param: str | None = None) -> Refusal:
    """Return the 400 of a request that does not validate."""
    return Refusal(400, "invalid_request_error", message, param)


def too_large(message: str) -> Refusal:
    """Return the 413 of a request with too many bytes."""
    return Refusal(413, "PAYLOAD_TOO_LARGE", message)


def of_status(status: int) -> Refusal:
    """Return a refusal for a bare status, with the gRPC name that the service maps to it."""
    return Refusal(status, _CODES.get(status, "INTERNAL"), f"the stand-in answers {status}")


def joined(refusals: list[Refusal]) -> Refusal:
    """Join refusals into one, in the form "2 request validation errors: a; b"."""
    first, *others = refusals
    if not others:
        return first
    messages = "; ".join(refusal.message for refusal in refusals)
    return Refusal(
        first.status,
        first.code,
        f"{len(refusals)} request validation errors: {messages}",
        first.param,
    )
