"""Decides whether a clip is asked again after a failed request; pure (main process).

The simulator of `captionfleet plan` uses it too, so a simulated run decides as a real one does.
"""

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from captionfleet.errors import FailureCode
from captionfleet.sender.routing.replicas import Lease
from captionfleet.sender.routing.retry import RetryBudget, backoff_s
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
        avoid: Where it failed last.
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
    """Decides on every clip of a run, as all clips share one retry budget."""

    def __init__(self, max_attempts: int, router: Router) -> None:
        self._max_attempts = max_attempts
        self._router = router
        self._budget = RetryBudget()

    def captioned(self) -> None:
        """Record a captioned clip, which earns part of a retry."""
        self._budget.earn()

    def may_burn(self, burnt: int) -> bool:
        """Whether a clip with this many attempts used may lose one more and still be asked."""
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
        # Without room, the windows already spare the fleet; with no deployment up, waits do.
        costs = burns and verdict.code is not FailureCode.OVERLOADED
        wait_s = backoff_s(
            burnt if burns else 1,
            jitter=jitter,
            floor_s=verdict.retry_after_s,
            in_budget=not costs or self._budget.spend(),
        )
        was_refused = past.was_refused or verdict.fatal
        return Again(Past(burnt, was_refused, past.was_rejected, lease.deployment), wait_s)

    def _is_wait(self, lease: Lease, verdict: Verdict, past: Past) -> bool:
        """Whether the failure says nothing about the clip, which then has only waited.

        True for the probe of a deployment that is still down, and for a refusal of key, account or
        model. The latter is excused once where the deployment goes on taking requests: a firewall
        may answer 403 to one clip for ever.
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
        wait_s = backoff_s(1, jitter=jitter, floor_s=verdict.retry_after_s)
        return Again(replace(past, avoid=name), wait_s)


def lanes(places: int) -> int:
    """The number of clips with the sender: one for each place, and spare ones that back off."""
    return places + max(4, math.ceil(places / 4))


class Waiting(Protocol):
    """A request that waits for a lease; `avoid` is the deployment where the clip failed last."""

    @property
    def avoid(self) -> str | None:
        """Used only while no other deployment is up."""


Waiter = TypeVar("Waiter", bound=Waiting)


def hand_out(line: deque[Waiter], router: Router, now_s: float) -> list[tuple[Waiter, Lease]]:
    """Give leases to the waiting requests, first come, first served.

    Only a clip that waits for a deployment other than its last one lets others pass.
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
