"""Fits a model of the deployments to the requests of a run; pure (main process)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from captionfleet.plan.lines import Lines, RunRecord
from captionfleet.plan.model.curve import (
    Curve,
    fit_curve,
    in_flight_at_start,
    is_saturated,
    seconds_at,
)
from captionfleet.plan.model.reference import ReplicaProfile
from captionfleet.plan.model.shape import Terms, fit_terms
from captionfleet.plan.model.table import Floats, Table, drift

__all__ = ["RequestFit", "base_model", "fit_requests", "never_full"]

_ALIKE = 1.15
_NEAR = 0.8
_LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class RequestFit:
    """The deployments' profiles, the clip's effect on request time, and their uncertainty."""

    profiles: tuple[ReplicaProfile, ...]
    factor: Terms
    drift: float
    notes: tuple[str, ...]


def fit_requests(table: Table, lines: Lines, run: RunRecord, *, apart: bool) -> RequestFit:
    """Fit the deployments' curves and the clips' factor, each after correcting for the other."""
    in_flight = _in_flight(table)
    groups = _groups(table, lines, apart=apart)
    factors, expected_s = np.ones(len(table)), np.ones(len(table))
    for _ in range(2):
        for own in groups:
            curve = fit_curve(in_flight[own], table.request_s[own] / factors[own])
            expected_s[own] = np.maximum(seconds_at(curve, in_flight[own]), _LEAST)
        mean_s = max(float(table.seconds.mean()), _LEAST)
        ratios = table.request_s / expected_s
        factor = fit_terms(table.one_and_seconds, ratios, (0.5, 0.5 / mean_s))
        factors = np.maximum(factor.each(table.one_and_seconds), _LEAST)
    residuals = table.request_s / expected_s / factors
    factor = _balanced(factor, table, residuals)
    profiles = []
    for own in groups:
        curve = fit_curve(in_flight[own], table.request_s[own] / factors[own])
        names = sorted(lines.deployments[place] for place in np.unique(table.deployment[own]))
        profiles.append(_profile(names, curve, residuals[own], lines, run))
    notes = [never_full(one, _ceiling(one, run), run.bottleneck) for one in profiles]
    notes += list(_unlike(profiles, table, lines, residuals))
    if len(profiles) > 1 and not apart:
        kinds = ", ".join(one.model for one in profiles)
        notes.append(f"the reference has several models, between which replicas alternate: {kinds}")
    return RequestFit(tuple(profiles), factor, drift(residuals), tuple(filter(None, notes)))


def _balanced(factor: Terms, table: Table, residuals: Floats) -> Terms:
    """Normalise the factor to a mean of one, with all requests of a clip weighted equally."""
    names = np.unique(table.request)
    if len(names) == 1:
        return factor
    means = [float(residuals[table.request == name].mean()) for name in names]
    balance = sum(means) / len(means) / max(float(residuals.mean()), _LEAST)
    return Terms(tuple(weight * balance for weight in factor.weights))


def _profile(
    names: list[str], curve: Curve, residuals: Floats, lines: Lines, run: RunRecord
) -> ReplicaProfile:
    return ReplicaProfile(
        names=tuple(names),
        model=base_model(lines.models[names[0]]),
        curve=curve,
        sigma=_sigma(residuals),
        max_in_flight=curve[-1][0],
        adaptive=any(run.ceilings.get(name, (0, True))[1] for name in names),
        requests=len(residuals),
        is_saturated=is_saturated(curve),
    )


def base_model(model: str) -> str:
    """The model's name, without the deployment that serves it."""
    return model.partition("#")[0]


def never_full(profile: ReplicaProfile, ceiling: int, limit: str = "") -> str:
    """A note if a deployment's capacity was not reached."""
    if profile.is_saturated:
        return ""
    name, most = " and ".join(profile.names), profile.max_in_flight
    if most >= _NEAR * ceiling:
        return (
            f"{name}: all {ceiling} requests that may be in flight were, and they were not too "
            "many: with a higher max_in_flight a replica may do more"
        )
    why = f" (the reference was limited by {limit})" if limit == "cores" else ""
    return (
        f"{name}: never full in the reference{why}: at most {most} of {ceiling} requests in "
        "flight were seen, and a replica is counted on for no more than they brought; "
        "the plan is a bound: fewer replicas may do"
    )


def _in_flight(table: Table) -> NDArray[np.int64]:
    in_flight = np.ones(len(table), dtype=np.int64)
    for place in np.unique(table.deployment):
        own = table.deployment == place
        ended_s = table.ended_s[own]
        in_flight[own] = in_flight_at_start(ended_s - table.request_s[own], ended_s)
    return in_flight


def _groups(table: Table, lines: Lines, *, apart: bool) -> list[NDArray[np.int64]]:
    """The indices of the lines of each pool of deployments; those of one model are pooled."""
    kinds = [name if apart else base_model(lines.models[name]) for name in lines.deployments]
    of_line = [kinds[place] for place in table.deployment]
    places: dict[str, list[int]] = {}
    for place, kind in enumerate(of_line):
        places.setdefault(kind, []).append(place)
    return [np.asarray(places[kind], dtype=np.int64) for kind in sorted(places)]


def _sigma(residuals: Floats) -> float:
    """Sigma of the log-normal distribution with this mean and variance."""
    mean = max(float(residuals.mean()), _LEAST)
    return math.sqrt(math.log1p(float(residuals.var()) / mean**2))


def _ceiling(profile: ReplicaProfile, run: RunRecord) -> int:
    most = profile.max_in_flight
    return max(run.ceilings.get(name, (most, True))[0] for name in profile.names)


def _unlike(
    profiles: list[ReplicaProfile], table: Table, lines: Lines, residuals: Floats
) -> Iterator[str]:
    """Notes on deployments of one model whose request times differ."""
    for profile in profiles:
        places = [lines.deployments.index(name) for name in profile.names]
        means = {
            name: float(residuals[table.deployment == place].mean())
            for name, place in zip(profile.names, places, strict=True)
        }
        slow, fast = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
        if means[slow] > _ALIKE * means[fast]:
            yield (
                f"{slow} took {means[slow] / means[fast]:.2f} times as long as {fast} for the same "
                "model; a planned replica is like their mean (--deployment NAME takes one)"
            )
