"""Searches the smallest fleet that keeps the limits, or the closest one; pure (main process)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from captionfleet.plan.model.curve import best_rate
from captionfleet.plan.model.predict import (
    TAIL_80,
    Fleet,
    Outlook,
    Prediction,
    Pricing,
    look_ahead,
    mean_worker_s,
    predict,
    request_factor,
)
from captionfleet.plan.model.reference import Library, Reference

__all__ = ["Limits", "Plan", "Verdict", "make_plan"]

_MOST_REPLICAS = 256
_AMPLE = 1.5
_AS_GOOD = 1.02
_ENOUGH = 1.05


class Verdict(StrEnum):
    """Whether a plan keeps the limits, or which one it breaks."""

    KEPT = "kept"
    DEADLINE = "deadline"
    MONEY = "money"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits that the user sets; None means no limit.

    `replicas` and `cores` are fixed numbers, `max_replicas` and `max_cores` upper limits.
    """

    within_s: float | None = None
    max_usd: float | None = None
    replicas: int | None = None
    max_replicas: int | None = None
    cores: int | None = None
    max_cores: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The chosen fleet and some alternatives; limits are kept at the high end of the range.

    `binding` names what prevents the plan from keeping the limits; empty if it keeps them.
    """

    chosen: Prediction
    others: tuple[Prediction, ...]
    verdict: Verdict
    binding: str = ""


def make_plan(reference: Reference, library: Library, limits: Limits, pricing: Pricing) -> Plan:
    """Choose replicas, then cores.

    With a deadline: the fewest replicas that meet it, which are also the cheapest. With only a
    budget: the fastest fleet within it. With neither: as many replicas as the reference had. Idle
    replicas cost more than cores, so the plan takes the fewest cores with which the replicas are
    nearly as fast as possible; the fewest that meet the deadline are an alternative.
    """
    search = _Search(reference, library, limits, pricing)
    replicas, verdict = search.replicas()
    chosen = search.predicted(replicas)
    if verdict is Verdict.KEPT:
        verdict = search.judged(chosen)
    others = [search.predicted(n) for n in search.neighbours(replicas)]
    thrifty = search.predicted(replicas, may_take_s=limits.within_s or 0.0)
    if thrifty.fleet != chosen.fleet:
        others.append(thrifty)
    binding = search.binding(chosen, verdict)
    return Plan(chosen=chosen, others=tuple(others), verdict=verdict, binding=binding)


@dataclass(slots=True)
class _Search:
    reference: Reference
    library: Library
    limits: Limits
    pricing: Pricing
    _seen: dict[Fleet, Outlook] = field(default_factory=dict)

    def replicas(self) -> tuple[int, Verdict]:
        """The number of replicas, and whether the limits can be kept at all."""
        limits = self.limits
        if limits.replicas is not None:
            return limits.replicas, Verdict.KEPT
        if limits.within_s is not None:
            return self._for_deadline(limits.within_s)
        if limits.max_usd is not None:
            return self._for_money()
        return min(self.reference.fleet[0], self.most), Verdict.KEPT

    @property
    def most(self) -> int:
        """The largest number of replicas that is considered."""
        return self.limits.max_replicas or _MOST_REPLICAS

    def _for_deadline(self, within_s: float) -> tuple[int, Verdict]:
        rate = self.library.clips / within_s
        guess = math.ceil(rate / self._best_rate(1))
        fewest = _first(
            1, self.most + 1, guess, lambda n: n > self.most or self._is_in(n, within_s)
        )
        if fewest > self.most:
            return self._nearly_fastest(self.most), Verdict.DEADLINE
        is_paid = self.slow_s(fewest) <= self._paid_s(fewest)
        return fewest, Verdict.KEPT if is_paid else Verdict.MONEY

    def _is_in(self, replicas: int, within_s: float) -> bool:
        """Whether this many replicas finish in time; obvious impossibilities are not simulated."""
        clips, each_s = self.library.clips, mean_worker_s(self.reference, self.library) or 0.0
        best_s = self.pricing.cold_start_s + clips / self._best_rate(replicas)
        cores_s = clips * each_s / self._most_cores(replicas)
        return max(best_s, cores_s) <= within_s and self.slow_s(replicas) <= within_s

    def _for_money(self) -> tuple[int, Verdict]:
        if not self._is_paid(1):
            return 1, Verdict.MONEY
        dear = _first(2, self.most + 1, 2, lambda n: n > self.most or not self._is_paid(n))
        return self._nearly_fastest(dear - 1), Verdict.KEPT

    def _is_paid(self, replicas: int) -> bool:
        return self.slow_s(replicas) <= self._paid_s(replicas)

    def _nearly_fastest(self, most: int) -> int:
        """The fewest replicas that are hardly slower than the largest number."""
        best_s = self.slow_s(most)
        guess = math.ceil(self.library.clips / best_s / self._best_rate(1))
        return _first(1, most, guess, lambda n: self._is_in(n, _AS_GOOD * best_s))

    def _paid_s(self, replicas: int) -> float:
        usd = self.limits.max_usd
        return math.inf if usd is None else self.pricing.seconds_for(usd, replicas)

    def slow_s(self, replicas: int) -> float:
        """The high end of the time with as many cores as allowed."""
        return self._slow(Fleet(replicas, self._most_cores(replicas))).seconds

    def _slow(self, fleet: Fleet) -> Outlook:
        if fleet not in self._seen:
            self._seen[fleet] = look_ahead(
                self.reference,
                self.library,
                fleet,
                self.pricing,
                TAIL_80,
            )
        return self._seen[fleet]

    def _most_cores(self, replicas: int) -> int:
        limits = self.limits
        return limits.cores or limits.max_cores or self._ample_cores(replicas)

    def _ample_cores(self, replicas: int) -> int:
        """More cores than the deployments can use, even with slow workers."""
        each_s = mean_worker_s(self.reference, self.library) or 0.0
        useful = min(self._best_rate(replicas) * each_s * _AMPLE, float(self.library.clips))
        return max(1, math.ceil(useful))

    def _best_rate(self, replicas: int) -> float:
        """Clips per second that this many replicas can caption at best."""
        profiles, factor = self.reference.profiles, request_factor(self.reference, self.library)
        rates = (best_rate(profiles[n % len(profiles)].curve) for n in range(replicas))
        return sum(rates) / factor / self.reference.per_clip

    def predicted(self, replicas: int, *, may_take_s: float = 0.0) -> Prediction:
        """The prediction with the fewest cores for nearly the best speed, or for the given time."""
        fleet = Fleet(replicas, self._cores(replicas, may_take_s))
        return predict(self.reference, self.library, fleet, self.pricing)

    def _cores(self, replicas: int, may_take_s: float) -> int:
        if self.limits.cores is not None:
            return self.limits.cores
        best_s, paid_s = self.slow_s(replicas), self._paid_s(replicas)
        within_s = may_take_s if may_take_s >= best_s else _ENOUGH * best_s
        if paid_s >= best_s:
            within_s = min(within_s, paid_s)
        each_s = mean_worker_s(self.reference, self.library) or 0.0
        guess = math.ceil(self.library.clips * each_s / within_s)
        most = self._most_cores(replicas)
        return _first(1, most, guess, lambda n: self._slow(Fleet(replicas, n)).seconds <= within_s)

    def judged(self, chosen: Prediction) -> Verdict:
        """Whether the limits hold at the high end of its range."""
        limits = self.limits
        if limits.within_s is not None and chosen.seconds.high > limits.within_s * _AS_GOOD:
            return Verdict.DEADLINE
        if limits.max_usd is not None and chosen.usd.high > limits.max_usd * _AS_GOOD:
            return Verdict.MONEY
        return Verdict.KEPT

    def neighbours(self, replicas: int) -> list[int]:
        """Numbers of replicas to compare with."""
        if self.limits.replicas is not None:
            return []
        near = {max(1, replicas // 2), replicas - 1, replicas + 1, 2 * replicas}
        return sorted(n for n in near if 1 <= n <= self.most and n != replicas)

    def binding(self, chosen: Prediction, verdict: Verdict) -> str:
        """What prevents keeping the limits."""
        if verdict is Verdict.KEPT:
            return ""
        if verdict is Verdict.MONEY:
            return "the budget: fewer replicas cost less and take longer"
        limits, cold_s = self.limits, self.pricing.cold_start_s
        if cold_s >= (limits.within_s or math.inf):
            return f"the start: replicas do not serve before {cold_s:.0f} s are over"
        are_few = limits.replicas is not None or chosen.fleet.replicas == limits.max_replicas
        if (limits.cores or limits.max_cores) and not (
            are_few and chosen.outlook.bottleneck == "deployments"
        ):
            return f"the cores: {chosen.fleet.cores} prepare no more clips in that time"
        if limits.replicas or limits.max_replicas:
            return f"the replicas: {chosen.fleet.replicas} caption no more clips in that time"
        return f"the time: not even {self.most} replicas are done by then (--max-replicas)"


def _first(low: int, high: int, guess: int, holds: Callable[[int], bool]) -> int:
    """The lowest number for which `holds` is true, if it is monotonic; `high` if there is none.

    With a good guess it tests few numbers, and no large ones.
    """
    below, above = low - 1, high  # invariant: false below, assumed true above
    at, step = min(max(guess, low), high), 1
    while above - below > 1:
        if not below < at < above:
            at = (below + above) // 2
        if holds(at):
            above, at = at, at - step
        else:
            below, at = at, at + step
        step *= 2
    return above
