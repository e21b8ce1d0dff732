"""Predicts a fleet's time and cost for a library, by simulating the sender; pure (main process)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from captionfleet.plan.model.reference import Library, Reference
from captionfleet.plan.model.server_model import DeploymentModel, Phase, Standing
from captionfleet.plan.model.simulator import Scenario, Simulated, simulate
from captionfleet.sender.routing.history import place_seconds

__all__ = ["Estimate", "Fleet", "Outlook", "Prediction", "Pricing", "look_ahead", "predict"]

MOST_SIMULATED = 50_000
"""Clips of a simulated run, fewer for few replicas; the rest is extrapolated from its middle."""

TAIL_80 = 1.2816  # a tenth of the normal distribution lies beyond, on each side
_LEAST_DRIFT = 0.05  # variation between runs, which one reference run cannot show
_LEAST_TOKEN_DRIFT = 0.02
_MIDDLE = (0.3, 0.8)
_LEAST_SIMULATED, _SIMULATED_EACH = 5_000, 350  # time until a replica's window has settled
_HOUR_S = 3600.0
_PATIENCE_S = 1800.0
_COLD_SIMULATED_S = 600.0  # after this time the sender's back-off has reached its limit


@dataclass(frozen=True, slots=True)
class Fleet:
    """The number of replicas, and of cores with one worker process each."""

    replicas: int
    cores: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """What a replica costs; its start is not billed."""

    usd_per_gpu_hour: float
    gpus_per_replica: int = 1
    cold_start_s: float = 0.0

    def gpu_hours(self, replicas: int, seconds: float) -> float:
        """The billed GPU hours of a run of this length."""
        return replicas * self.gpus_per_replica * max(0.0, seconds - self.cold_start_s) / _HOUR_S

    def seconds_for(self, usd: float, replicas: int) -> float:
        """How many seconds a run with this many replicas can take for this money."""
        per_s = replicas * self.gpus_per_replica * self.usd_per_gpu_hour / _HOUR_S
        return math.inf if not per_s else usd / per_s + self.cold_start_s


@dataclass(frozen=True, slots=True)
class Estimate:
    """An expected value, and a range that holds four of five outcomes."""

    low: float
    expected: float
    high: float

    def each(self, change: Callable[[float], float]) -> "Estimate":
        """The estimate after a monotonically increasing function."""
        return Estimate(change(self.low), change(self.expected), change(self.high))


@dataclass(frozen=True, slots=True)
class Outlook:
    """One simulated run, extended to the whole library.

    `cores` and `deployments` are the shares of time in which they are busy; `cores` is nan where
    worker times are unknown. `clips_per_s` is the rate in the middle of the run.
    """

    seconds: float
    clips_per_s: float
    cores: float
    deployments: float
    simulated_clips: int

    @property
    def bottleneck(self) -> str:
        """The busier of the two, as run.json has it."""
        return "cores" if self.cores >= self.deployments else "deployments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A fleet's time, tokens and cost for a library."""

    fleet: Fleet
    seconds: Estimate
    gpu_hours: Estimate
    usd: Estimate
    prompt_tokens: Estimate
    completion_tokens: Estimate
    payload_bytes: float
    outlook: Outlook


def predict(reference: Reference, library: Library, fleet: Fleet, pricing: Pricing) -> Prediction:
    """Predict a run, with its range."""
    fast, middle, slow = (
        look_ahead(reference, library, fleet, pricing, tail) for tail in (-TAIL_80, 0.0, TAIL_80)
    )
    # Simulated runs are random, so the low run may come out above the high one: sort them.
    seconds = Estimate(
        min(fast.seconds, middle.seconds), middle.seconds, max(slow.seconds, middle.seconds)
    )
    gpu_hours = seconds.each(lambda s: pricing.gpu_hours(fleet.replicas, s))
    prompt, completion, payload = _per_clip(reference, library)
    spread = math.exp(TAIL_80 * max(reference.token_drift, _LEAST_TOKEN_DRIFT))
    return Prediction(
        fleet=fleet,
        seconds=seconds,
        gpu_hours=gpu_hours,
        usd=gpu_hours.each(lambda hours: hours * pricing.usd_per_gpu_hour),
        prompt_tokens=_around(prompt * library.clips, spread),
        completion_tokens=_around(completion * library.clips, spread),
        payload_bytes=payload * library.clips,
        outlook=middle,
    )


def look_ahead(  # noqa: PLR0913 - a run, and how it is simulated
    reference: Reference,
    library: Library,
    fleet: Fleet,
    pricing: Pricing,
    tail: float = 0.0,
    *,
    most_clips: int | None = None,
) -> Outlook:
    """Simulate one run, at most `most_clips` of it, by default enough for a steady rate.

    Each clip has as many requests as in the reference. Requests and workers are both slower than
    expected by `tail` standard deviations.
    """
    slower = math.exp(tail * max(reference.request_drift, _LEAST_DRIFT))
    enough = min(MOST_SIMULATED, max(_LEAST_SIMULATED, _SIMULATED_EACH * fleet.replicas))
    per_clip = reference.per_clip
    captions = library.clips * per_clip
    simulated_captions = min(captions, most_clips * per_clip if most_clips else enough)
    cold_s = min(pricing.cold_start_s, _COLD_SIMULATED_S)
    models = _fleet_models(reference, library, fleet.replicas, cold_s, slower)
    simulated = simulate(
        Scenario(
            deployments=models,
            clips=simulated_captions,
            supply_per_s=_supply_per_s(reference, library, fleet.cores, tail),
            timeout_s=reference.timeout_s,
            patience_s=_PATIENCE_S + 2 * cold_s,
        )
    )
    rate = _middle_rate(simulated)
    rest_s = (captions - simulated_captions) / rate if rate else math.inf
    edges_s = reference.startup_s + reference.ending_s + pricing.cold_start_s - cold_s
    return Outlook(
        seconds=edges_s + simulated.seconds + rest_s,
        clips_per_s=rate / per_clip,
        cores=_cores_busy(simulated, cold_s),
        deployments=_deployments_busy(simulated, models, cold_s),
        simulated_clips=math.ceil(simulated_captions / per_clip),
    )


def mean_worker_s(reference: Reference, library: Library) -> float | None:
    """A worker's mean time for a clip of the library; None if unknown."""
    worker_time = reference.worker_time
    if worker_time is None:
        return None
    return sum(map(worker_time.of, library.mix)) / len(library.mix)


def _supply_per_s(reference: Reference, library: Library, cores: int, tail: float) -> float | None:
    """Requests per second whose media the workers prepare."""
    each_s = mean_worker_s(reference, library)
    if not each_s:
        return None
    slower = math.exp(tail * max(reference.worker_drift, _LEAST_DRIFT))
    return reference.per_clip * cores / (each_s * slower)


def _fleet_models(
    reference: Reference, library: Library, replicas: int, cold_start_s: float, slower: float
) -> tuple[DeploymentModel, ...]:
    """Replicas like those of the reference; where it has several kinds, they alternate."""
    factor = request_factor(reference, library)
    unlike = _unlikeness(reference, library)
    models = []
    for number in range(replicas):
        profile = reference.profiles[number % len(reference.profiles)]
        up = Phase(
            slots=profile.max_in_flight,
            max_queue=profile.max_in_flight,
            curve=tuple((n, seconds * factor * slower) for n, seconds in profile.curve),
            spread=math.hypot(profile.sigma, unlike),
        )
        phases: tuple[Phase, ...] = (up,)
        if cold_start_s:
            cold = Phase(standing=Standing.SCALING_UP)
            phases = (cold, replace(up, from_s=cold_start_s))
        model = DeploymentModel(
            name=f"replica-{number + 1}",
            phases=phases,
            max_in_flight=profile.max_in_flight,
            adaptive=profile.adaptive,
        )
        models.append(model)
    return tuple(models)


def request_factor(reference: Reference, library: Library) -> float:
    """How much longer the library's requests take than the reference's."""
    factors = _factors(reference, library)
    return sum(factors) / len(factors)


def _unlikeness(reference: Reference, library: Library) -> float:
    """The spread (sigma) of request times due to differences between clips."""
    factors = _factors(reference, library)
    mean = sum(factors) / len(factors)
    variance = sum((one - mean) ** 2 for one in factors) / len(factors)
    return math.sqrt(math.log1p(variance / mean**2))


def _factors(reference: Reference, library: Library) -> list[float]:
    return [max(reference.request_factor.of(1.0, clip.seconds), 1e-6) for clip in library.mix]


def _middle_rate(simulated: Simulated) -> float:
    ended_s = simulated.captions_s
    first, last = (int(share * (len(ended_s) - 1)) for share in _MIDDLE)
    if last > first and ended_s[last] > ended_s[first]:
        return (last - first) / (ended_s[last] - ended_s[first])
    return len(ended_s) / max(simulated.seconds, 1e-9)


def _cores_busy(simulated: Simulated, cold_start_s: float) -> float:
    """The share of time in which the cores are busy while deployments are up; nan if unknown."""
    up_s = simulated.seconds - cold_start_s
    if up_s <= 0 or math.isnan(simulated.supply_busy):
        return math.nan
    return min(1.0, simulated.supply_busy * simulated.seconds / up_s)


def _deployments_busy(
    simulated: Simulated, models: tuple[DeploymentModel, ...], cold_start_s: float
) -> float:
    """The share of the windows' places that are taken while deployments are up."""
    up_s = max(0.0, simulated.seconds - cold_start_s)
    in_flight_s = sum(
        use.utilisation * model.max_in_flight * up_s
        for use, model in zip(simulated.deployments, models, strict=True)
    )
    places_s = sum(
        place_seconds(use.window, simulated.seconds) - place_seconds(use.window, cold_start_s)
        for use in simulated.deployments
    )
    return min(1.0, in_flight_s / places_s) if places_s else 0.0


def _per_clip(reference: Reference, library: Library) -> tuple[float, float, float]:
    """Prompt tokens, completion tokens and payload bytes of the mean clip, over all requests."""
    seconds = library.mean_seconds
    return (
        reference.prompt_tokens.of(1.0, seconds),
        reference.completion_tokens.of(1.0, seconds),
        reference.payload_bytes.of(1.0, seconds),
    )


def _around(value: float, spread: float) -> Estimate:
    return Estimate(value / spread, value, value * spread)
