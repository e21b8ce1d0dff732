"""What follows for a clip when a request ends, and how many clips are taken on (main; pure).

The sender and the simulator both ask here, so a simulated run decides as a real one does.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pipeline.errors import FailureCode
from pipeline.sender.replicas import Lease
from pipeline.sender.retry import RetryBudget, backoff_s
from pipeline.sender.router import Router
from pipeline.sender.verdict import Verdict

__all__ = ["Again", "RetryPolicy", "Waiting", "hand_out", "lanes"]


@dataclass(frozen=True, slots=True)
class Again:
    """The clip is asked again after `wait_s`; `burnt` of its attempts are then gone."""

    burnt: int
    wait_s: float


class RetryPolicy:
    """Decides on every clip of a run, for the clips share the budget."""

    def __init__(self, max_attempts: int) -> None:
        self._max_attempts = max_attempts
        self._budget = RetryBudget()

    def captioned(self) -> None:
        """A clip was captioned, which earns a part of a retry."""
        self._budget.earn()

    def may_burn(self, burnt: int) -> bool:
        """Whether a clip with so many attempts gone may lose one more and still be asked."""
        return burnt + 1 < self._max_attempts

    def failed(
        self, verdict: Verdict, *, burnt: int, is_out: bool, is_probe: bool, jitter: float
    ) -> Again | None:
        """When the clip is asked again; None where it fails.

        Args:
            verdict: On the request that failed.
            burnt: Attempts of the clip that were gone before.
            is_out: Whether the deployment gets no more requests in this run. If its refusal is
                for all clips, this one is not the worse for it.
            is_probe: Whether the deployment was down and is so still. What it did not take tells
                nothing of the clip, which only waits.
            jitter: Uniform in [0, 1).
        """
        is_wait = (verdict.fatal and is_out) or (verdict.untaken and is_probe) or verdict.stale
        burns = verdict.burns_attempt and not is_wait
        if not verdict.retry or (burns and not self.may_burn(burnt)):
            return None
        burnt += burns
        # A fleet without room is spared by its windows, and by waits when it has none at all.
        costs = burns and verdict.code is not FailureCode.OVERLOADED
        wait_s = backoff_s(
            burnt if burns else 1,
            jitter=jitter,
            floor_s=verdict.retry_after_s,
            in_budget=not costs or self._budget.spend(),
        )
        return Again(burnt, wait_s)


def lanes(places: int) -> int:
    """How many clips are with the sender: one for each place, and spare ones that back off."""
    return places + max(4, math.ceil(places / 4))


class Waiting(Protocol):
    """Whoever waits for a lease; `avoid` is the deployment where the clip failed last."""

    @property
    def avoid(self) -> str | None:
        """Taken only while no other deployment is up."""


Waiter = TypeVar("Waiter", bound=Waiting)


def hand_out(line: deque[Waiter], router: Router, now_s: float) -> list[tuple[Waiter, Lease]]:
    """Take from the line whoever gets a lease now: first come, first served.

    Only a clip that waits for another deployment than the last one lets others pass.
    """
    served, passed_over = [], []
    while line and router.has_place(now_s):
        waiter = line.popleft()
        if (lease := router.lease(now_s, avoid=waiter.avoid)) is not None:
            served.append((waiter, lease))
        else:
            passed_over.append(waiter)
    line.extendleft(reversed(passed_over))
    return served
