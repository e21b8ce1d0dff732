"""This program's sender against clients that users would take instead, on the same deployments.

Run from the checkout: `python -m benchmarks.bench_rivals [--only SCENARIO] [--rounds N]`. The
rivals (LiteLLM's Router, the openai package, aiohttp with tenacity) are installed into a folder of
their own. All clients take turns within a round, each on stand-ins of its own that start anew;
none knows what the deployments take, but the oracle, which was given it. Exit code 1: a figure
misses its target.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.interop.places import install_rivals
from benchmarks.sender_load import Load, measure, ready_clips
from benchmarks.standins import StandinProcess, flags, standins
from captionfleet.bench.machine import machine_facts

RESULTS = Path(__file__).parent / "results" / "rivals.json"
CLIENTS = Path(__file__).parent / "rivals" / "clients.py"

CEILING = 200  # for each deployment, of this program
MEDIA_BYTES = 20_000  # the subject is control, not the moving of bytes
MAX_ATTEMPTS = 10
TIMEOUT_S = 60.0
LONGEST_S = 240.0  # that a rival is waited for
KINDS = (
    "429 500 502-html 503 scaling-up reset-before reset-during hang+seconds=2 truncate garbage "
    "empty stream-error"
).split()
OURS, ORACLE, TUNED = "captionfleet", "oracle", "litellm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Deployments of so many slots, a second a request, 30 % more or less.

    Attributes:
        in_flight: What a user who knows nothing better sets for a client that cannot find it out.
        clients: The rivals, besides this program and the oracle.
    """

    slots: tuple[int, ...]
    clips: int
    in_flight: int = 64
    max_queue: int = 2
    fault_share: float = 0.0
    cold_start_s: float = 0.0
    clients: tuple[str, ...] = (TUNED, "tenacity", "openai")


SCENARIOS = {
    "healthy": Scenario(slots=(4, 16, 40), clips=600),
    "faults": Scenario(slots=(4, 16, 40), clips=600, fault_share=0.3),
    "cold": Scenario(slots=(4, 16, 40), clips=600, cold_start_s=20.0, clients=(TUNED, "tenacity")),
    "one": Scenario(slots=(12,), clips=120, max_queue=4, clients=()),
}


def main(names: Sequence[str], rounds: int, rivals: Path, results: Path) -> int:
    """Run these scenarios, or all, and print and keep what came of them."""
    python, is_good = install_rivals(rivals), True
    for name in names or SCENARIOS:
        scenario, machine = SCENARIOS[name], machine_facts()
        clients = (OURS, ORACLE, *scenario.clients)
        runs: dict[str, list[dict[str, Any]]] = {client: [] for client in clients}
        with tempfile.TemporaryDirectory() as folder:
            ready_clips(Path(folder), MEDIA_BYTES)
            for number in range(rounds):
                for client in clients:
                    runs[client].append(_run(scenario, client, number, Path(folder), python))
        medians = {client: _medians(scenario, told) for client, told in runs.items()}
        figures = FIGURES[name](scenario, medians)
        _print(name, scenario, medians, figures)
        kept = {"machine": machine, "figures": list(map(asdict, figures)), "clients": medians}
        _keep(results, name, kept | {"rounds": rounds})
        is_good = is_good and all(figure.is_met for figure in figures)
    return int(not is_good)


def _run(
    scenario: Scenario, client: str, number: int, folder: Path, python: Path
) -> dict[str, Any]:
    """One client over stand-ins of its own."""
    with standins(*(_flags(scenario, slots, 100 * number + slots) for slots in scenario.slots)) as (
        fleet
    ):
        if client == OURS:
            made = _ours(scenario, fleet, folder)
        else:
            made = _rival(scenario, client, fleet, folder, python)
        asked: dict[str, int] = {}
        for one in fleet:
            for status, count in one.stats()["by_status"].items():
                asked[status] = asked.get(status, 0) + count
    captions, refused = len(made["captions_s"]), asked.get("429", 0)
    return made | {"by_status": asked, "refused": refused / max(refused + captions, 1)}


def _flags(scenario: Scenario, slots: int, seed: int) -> list[str]:
    share = scenario.fault_share / len(KINDS)
    return flags(
        slots=slots,
        max_queue=scenario.max_queue,
        service_time_s=1.0,
        service_time_jitter=0.3,
        cold_start_s=scenario.cold_start_s,
        seed=seed,
        fault=[f"{kind}:{share:.6f}" for kind in KINDS] if share else [],
    )


def _ours(scenario: Scenario, fleet: Sequence[StandinProcess], folder: Path) -> dict[str, Any]:
    seen = measure(
        Load(
            client="sender",
            base_urls=tuple(one.base_url for one in fleet),
            folder=str(folder),
            in_flight=(CEILING,) * len(fleet),
            adaptive=True,
            seconds=600.0,
            clips=scenario.clips,
            media_bytes=MEDIA_BYTES,
            max_attempts=MAX_ATTEMPTS,
            timeout_s=TIMEOUT_S,
        )
    )
    return {
        "captions_s": seen.captions_s,
        "seconds": max(seen.captions_s, default=0.0),
        "empty": 0,
        "lost": scenario.clips - seen.captioned_clips,
    }


def _rival(
    scenario: Scenario, client: str, fleet: Sequence[StandinProcess], folder: Path, python: Path
) -> dict[str, Any]:
    spec = {
        "client": client,
        "base_urls": [one.base_url for one in fleet],
        "places": [slots + scenario.max_queue for slots in scenario.slots],
        "folder": str(folder),
        "clips": scenario.clips,
        "in_flight": scenario.in_flight,
        "max_attempts": MAX_ATTEMPTS,
        "timeout_s": TIMEOUT_S,
    }
    command: list[str | Path] = [python, CLIENTS, json.dumps(spec)]
    nowhere = subprocess.DEVNULL
    try:
        told = subprocess.run(
            command, stdin=nowhere, stdout=subprocess.PIPE, stderr=nowhere, timeout=LONGEST_S,
            check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        print(f"  {client}: not over after {LONGEST_S:g} s", flush=True)
        return {"captions_s": [], "seconds": LONGEST_S, "empty": 0, "lost": scenario.clips}
    made: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return made | {"seconds": max(made["captions_s"], default=0.0)}


def _medians(scenario: Scenario, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    seconds = sorted(run["seconds"] for run in runs)
    return {
        "seconds": statistics.median(seconds),
        "seconds_least": seconds[0],
        "seconds_most": seconds[-1],
        "clips_per_s": scenario.clips / statistics.median(seconds),
        "refused": statistics.median(run["refused"] for run in runs),
        "lost": sum(run["lost"] for run in runs),
        "empty": sum(run["empty"] for run in runs),
        "by_status": [run["by_status"] for run in runs],
    }


def _speed(medians: dict[str, Any], against: str) -> float:
    return float(medians[against]["seconds"] / medians[OURS]["seconds"])


def _kept_all(medians: dict[str, Any]) -> list[Figure]:
    ours = medians[OURS]
    return [at_most("clips lost or without a text", ours["lost"] + ours["empty"], 0)]


def _healthy(_scenario: Scenario, medians: dict[str, Any]) -> list[Figure]:
    of_oracle = at_least("throughput, of the oracle's", _speed(medians, ORACLE), 0.85)
    return [of_oracle, *_kept_all(medians)]


def _faults(_scenario: Scenario, medians: dict[str, Any]) -> list[Figure]:
    return [
        at_least("throughput, of the tuned LiteLLM's", _speed(medians, TUNED), 1.0),
        at_most("answered 429", medians[OURS]["refused"], 0.10),
        *_kept_all(medians),
    ]


def _cold(scenario: Scenario, medians: dict[str, Any]) -> list[Figure]:
    best = min(medians[client]["seconds"] for client in scenario.clients)
    of_best = at_most("time, of the best rival's", medians[OURS]["seconds"] / best, 1.03)
    return [of_best, *_kept_all(medians)]


def _one(scenario: Scenario, medians: dict[str, Any]) -> list[Figure]:
    least_s = scenario.clips / sum(scenario.slots)  # a second each
    return [
        at_least("throughput, of the capacity", least_s / medians[OURS]["seconds"], 0.88),
        at_most("answered 429", medians[OURS]["refused"], 0.05),
        *_kept_all(medians),
    ]


FIGURES = {"healthy": _healthy, "faults": _faults, "cold": _cold, "one": _one}


def _print(
    name: str, scenario: Scenario, medians: dict[str, Any], figures: Sequence[Figure]
) -> None:
    print(f"{name}: {scenario.clips} clips, slots {scenario.slots}")
    for client, one in medians.items():
        spread = f"{one['seconds_least']:.1f} to {one['seconds_most']:.1f}"
        print(
            f"  {client:12} {one['seconds']:6.1f} s ({spread}), {one['refused']:.1%} answered 429,"
            f" {one['lost']} lost, {one['empty']} without a text"
        )
    for figure in figures:
        verdict = "" if figure.is_met else "   MISSED"
        print(f"  {figure.name}: {figure.value:g} ({figure.target}){verdict}", flush=True)


def _keep(path: Path, name: str, result: dict[str, Any]) -> None:
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept[name] = result
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_rivals", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rivals", type=Path, default=Path("bench-results/rivals"))
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()
    sys.exit(main(asked.only, asked.rounds, asked.rivals.absolute(), asked.json))
