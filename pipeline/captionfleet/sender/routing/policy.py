"""Decides whether a clip is asked again after a failed request; pure (main process).

The simulator of `captionfleet plan` uses it too, so that a simulated run decides as a real one.
"""

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from captionfleet.errors import FailureCode
from captionfleet.sender.routing.replicas import Lease
from captionfleet.sender.routing.retry import Backoff
from captionfleet.sender.routing.router import Router
from captionfleet.sender.routing.verdict import Verdict

__all__ = ["Again", "Past", "RetryPolicy", "Waiting", "hand_out", "lanes"]


@dataclass(frozen=True, slots=True)
class Past:
    """The earlier requests for a clip.

    Attributes:
        burnt: Attempts used up.
        was_refused: Whether a deployment refused the key, the account or the model.
        was_rejected: Whether a deployment that captions other clips rejected this one.
        avoid: The deployment where it failed last.
    """

    burnt: int = 0
    was_refused: bool = False
    was_rejected: bool = False
    avoid: str | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """The clip is asked again after `wait_s`."""

    past: Past
    wait_s: float


class RetryPolicy:
    """Decides on all clips of a request, which share one retry budget."""

    def __init__(self, max_attempts: int, router: Router, backoff: Backoff | None = None) -> None:
        self._max_attempts = max_attempts
        self._router = router
        self._backoff = backoff or Backoff()
        self._budget = self._backoff.budget()

    def captioned(self) -> None:
        """Record a captioned clip, which earns part of a retry."""
        self._budget.earn()

    def may_burn(self, burnt: int) -> bool:
        """Whether the clip, with this many attempts used up, has one left after the next."""
        return burnt + 1 < self._max_attempts

    def failed(self, lease: Lease, verdict: Verdict, past: Past, *, jitter: float) -> Again | None:
        """When the clip is asked again; None if it fails for good.

        Args:
            lease: The lease of the failed request, already returned.
            verdict: The verdict on that request.
            past: The clip's earlier requests.
            jitter: Uniform in [0, 1).
        """
        if verdict.rejects:
            return self._rejected(lease, past, verdict, jitter)
        burns = verdict.burns_attempt and not self._is_wait(lease, verdict, past)
        if not verdict.retry or (burns and not self.may_burn(past.burnt)):
            return None
        burnt = past.burnt + burns
        # Overload already shrinks the windows, and waits for a deployment already slow the run
        # down.
        costs = burns and verdict.code is not FailureCode.OVERLOADED
        wait_s = self._backoff.wait_s(
            burnt if burns else 1,
            jitter=jitter,
            floor_s=verdict.retry_after_s,
            in_budget=not costs or self._budget.spend(),
            is_earned=self._budget.is_earned,
        )
        was_refused = past.was_refused or verdict.fatal
        return Again(Past(burnt, was_refused, past.was_rejected, lease.deployment), wait_s)

    def _is_wait(self, lease: Lease, verdict: Verdict, past: Past) -> bool:
        """Whether the failure says nothing about the clip, which then loses no attempt.

        True for the probe of a deployment that is still down, and for a refusal of key, account or
        model. The latter costs no attempt only once while the deployment takes other requests: a
        firewall may always answer 403 to one clip.
        """
        if verdict.fatal:
            is_out = self._router.replicas[lease.deployment].is_out
            return is_out or lease.is_probe or not past.was_refused
        return verdict.stale or (verdict.untaken and lease.is_probe)

    def _rejected(self, lease: Lease, past: Past, verdict: Verdict, jitter: float) -> Again | None:
        """Ask another deployment: once, or repeatedly while the refusing one has captioned nothing.

        A deployment that refuses every clip goes down after a few, which ends this.
        """
        name = lease.deployment
        if self._router.replicas[name].is_proven:
            if past.was_rejected or not self._router.has_another(name):
                return None
            past = replace(past, was_rejected=True)
        elif not self._router.may_have_another(name):
            return None
        wait_s = self._backoff.wait_s(1, jitter=jitter, floor_s=verdict.retry_after_s)
        return Again(replace(past, avoid=name), wait_s)


def lanes(places: int) -> int:
    """The number of clips in the sender: one per place, and some more that back off."""
    return places + max(4, math.ceil(places / 4))


class Waiting(Protocol):
    """A request that waits for a lease; `avoid` is the deployment where the clip failed last."""

    @property
    def avoid(self) -> str | None:
        """Used only while no other deployment is up."""


Waiter = TypeVar("Waiter", bound=Waiting)


def hand_out(line: deque[Waiter], router: Router, now_s: float) -> list[tuple[Waiter, Lease]]:
    """Give leases to the waiting requests, first come, first served.

    A clip is passed over only while it waits for a deployment other than the one that failed.
    """
    served, passed_over = [], []
    while line:
        if (lease := router.lease(now_s, avoid=line[0].avoid)) is not None:
            served.append((line.popleft(), lease))
        elif router.has_place(now_s):
            passed_over.append(line.popleft())
        else:
            break
    line.extendleft(reversed(passed_over))
    return served
