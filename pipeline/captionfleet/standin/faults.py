"""Parses faults, and chooses by a seed the requests that they hit; pure (server's process)."""

import math
import random
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce

__all__ = ["Fault", "FaultKind", "FaultPlan", "parse_fault"]

_STATUSES = range(400, 600)


class FaultKind(StrEnum):
    """What a fault does on the wire."""

    STATUS = "status"
    """An error status, given by its number; with `-html` the body is the page of an edge proxy."""
    SCALING_UP = "scaling-up"
    """503 with the code DEPLOYMENT_SCALING_UP."""
    RESET_BEFORE = "reset-before"
    """The connection is reset (RST) instead of an answer."""
    RESET_DURING = "reset-during"
    """The connection is reset (RST) in the middle of the body."""
    HANG = "hang"
    """No answer; the connection stays open."""
    TRUNCATE = "truncate"
    """The body ends half-way: before its Content-Length, or before a stream's last chunk."""
    GARBAGE = "garbage"
    """200 with a body that is not JSON."""
    EMPTY = "empty"
    """200 with an empty caption."""
    NOT_JSON = "not-json"
    """200 with prose, even if the request asks for JSON."""
    MISFIT = "misfit"
    """200 with JSON that does not fit the request's schema."""
    STREAM_ERROR = "stream-error"
    """200, with an `error` object in place of the rest of the answer."""
    SLOW = "slow"
    """A correct answer that takes longer."""


_BEFORE_SERVICE = frozenset(
    {FaultKind.STATUS, FaultKind.SCALING_UP, FaultKind.RESET_BEFORE, FaultKind.HANG}
)
_GRAMMAR = (
    "KIND[+MODIFIER=VALUE ...][:RATE], where KIND is a status (429, 500, 502-html) or one of "
    f"{', '.join(kind for kind in FaultKind if kind is not FaultKind.STATUS)}; MODIFIER is "
    "retry-after (s, statuses), seconds (slow, hang), after or first (requests); RATE is 0 to 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of failure, and the requests that it hits.

    Attributes:
        rate: share of the requests that it hits.
        retry_after_s: value of the Retry-After header; None for no header.
        seconds: how much longer `slow` takes, or how long `hang` lasts.
        after: spares this many requests at the start.
        first: after `after`, the number of requests that it may hit.
    """

    kind: FaultKind
    rate: float = 1.0
    status: int = 0
    html: bool = False
    retry_after_s: float | None = None
    seconds: float | None = None
    after: int = 0
    first: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"a fault's rate is 0 to 1, not {self.rate:g}")
        if self.kind is FaultKind.STATUS and self.status not in _STATUSES:
            raise ValueError(f"a fault's status is 400 to 599, not {self.status}")
        for quantity in (self.retry_after_s, self.seconds, self.after, self.first):
            if quantity is not None and not 0 <= quantity < math.inf:
                raise ValueError(f"a fault's quantities are not negative: {quantity:g}")

    @property
    def label(self) -> str:
        """The kind as its text spells it: "502-html"."""
        if self.kind is not FaultKind.STATUS:
            return self.kind.value
        return f"{self.status}-html" if self.html else str(self.status)

    @property
    def before_service(self) -> bool:
        """Whether it hits before the request takes a slot; otherwise it spoils the answer."""
        return self.kind in _BEFORE_SERVICE

    def concerns(self, ordinal: int) -> bool:
        """Whether it may hit the request with this number, counted from 1."""
        last = None if self.first is None else self.after + self.first
        return ordinal > self.after and (last is None or ordinal <= last)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Chooses at most one fault for each request; the same seed and number give the same fault."""

    faults: tuple[Fault, ...]
    seed: int = 0

    def draw(self, ordinal: int) -> Fault | None:
        """Return the fault that hits the request with this number, counted from 1.

        Each fault has its own rate while the rates sum to at most 1; above that, earlier faults
        take precedence.
        """
        if not self.faults:
            return None
        chance = random.Random(f"{self.seed}:{ordinal}").random()  # noqa: S311 -- no secret
        for fault in filter(lambda fault: fault.concerns(ordinal), self.faults):
            if chance < fault.rate:
                return fault
            chance -= fault.rate
        return None


def parse_fault(text: str) -> Fault:
    """Read a fault such as "429+retry-after=2:0.1", "hang:0.01" or "503+first=3".

    Raises:
        ValueError: the text is not a fault; the message gives the grammar and the kinds.
    """
    body, colon, rate = text.strip().partition(":")
    name, *modifiers = body.split("+")
    try:
        fault = reduce(_modified, modifiers, _of_kind(name))
        return replace(fault, rate=float(rate)) if colon else fault
    except ValueError as error:
        raise ValueError(f"{text!r} is not a fault ({error}); write {_GRAMMAR}") from error


def _of_kind(name: str) -> Fault:
    status, dash, page = name.partition("-")
    if status.isdecimal() and page == ("html" if dash else ""):
        return Fault(kind=FaultKind.STATUS, status=int(status), html=bool(dash))
    if name == FaultKind.STATUS or name not in set(FaultKind):
        raise ValueError(f"no kind {name!r}")
    return Fault(kind=FaultKind(name))


def _modified(fault: Fault, modifier: str) -> Fault:
    name, _, value = modifier.partition("=")
    match name:
        case "retry-after":
            return replace(fault, retry_after_s=float(value))
        case "seconds":
            return replace(fault, seconds=float(value))
        case "after":
            return replace(fault, after=int(value))
        case "first":
            return replace(fault, first=int(value))
        case _:
            raise ValueError(f"no modifier {name!r}")
