"""Capacity that the client does not know: the adaptive window against the best fixed ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.sender_load import Load, Seen, measure
from benchmarks.standins import flags, standins

SERVICE_S = 0.5
CEILING = 256
BODY_BYTES = 2_000  # the subject is control, not the moving of bytes
WARM_UP_S = 15.0
SECONDS = 60.0
FACTORS = (0.5, 1.0, 1.25, 1.5, 2.0)  # of the slots: the fixed settings tried


@dataclass(frozen=True, slots=True)
class Scenario:
    """Replicas by their slots; the fixed settings are tried for `fixed_s` each."""

    name: str
    slots: tuple[int, ...]
    max_queue: int = 1000
    halves_after_s: float | None = None
    fixed_s: float = 25.0


SCENARIOS = {
    "one": Scenario("one replica of 16 slots", (16,)),
    "three": Scenario("three of 4, 16 and 64", (4, 16, 64)),
    "halving": Scenario("32 slots that halve", (32,), halves_after_s=37.5, fixed_s=SECONDS),
    "refusing": Scenario("16 slots, 429 past 4 that wait", (16,), max_queue=4),
}


def window(scenario: Scenario, folder: Path) -> tuple[list[Figure], dict[str, Any]]:
    """A sweep of fixed settings, then the adaptive window, each on replicas of their own."""
    sweep = {}
    for factor in FACTORS:
        fixed = tuple(round(factor * slots) for slots in scenario.slots)
        seen = _run(scenario, folder, fixed, scenario.fixed_s, adaptive=False)
        sweep[factor] = _rate(seen, scenario.fixed_s)
    ceilings = (CEILING,) * len(scenario.slots)
    adaptive = _run(scenario, folder, ceilings, SECONDS, adaptive=True)
    rate, best = _rate(adaptive, SECONDS), max(sweep.values())
    refused = adaptive.refused_share(WARM_UP_S)
    figures = [
        at_least(f"{scenario.name}: adaptive, of the best fixed", rate / best, 0.90),
        at_most(f"{scenario.name}: answered 429", refused, 0.02),
    ]
    return figures, {
        "fixed_per_s_by_share_of_slots": sweep,
        "adaptive_per_s": rate,
        "windows": [deployment["window"] for deployment in adaptive.fleet],
        "failures": adaptive.failures,
    }


def _run(
    scenario: Scenario,
    folder: Path,
    in_flight: tuple[int, ...],
    seconds: float,
    *,
    adaptive: bool,
) -> Seen:
    common: dict[str, float] = {"max_queue": scenario.max_queue, "service_time_s": SERVICE_S}
    if scenario.halves_after_s is not None:
        common["halves_after_s"] = scenario.halves_after_s
    replicas = [flags(slots=slots, service_time_jitter=0.2, **common) for slots in scenario.slots]
    with standins(*replicas) as fleet:
        return measure(
            Load(
                client="sender",
                base_urls=tuple(one.base_url for one in fleet),
                folder=str(folder),
                in_flight=in_flight,
                adaptive=adaptive,
                seconds=seconds,
                media_bytes=BODY_BYTES,
            )
        )


def _rate(seen: Seen, seconds: float) -> float:
    return round(seen.captions_per_s(WARM_UP_S, seconds), 2)
