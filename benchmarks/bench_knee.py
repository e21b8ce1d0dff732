"""Whether `captionfleet bench` finds the knee of deployments whose capacity is known.

Four scenarios, stand-ins in processes of their own: 16 slots; three deployments of 4, 16 and 64;
one of 16 that loses half of them while it is measured; one that refuses past a short queue.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.standins import StandinProcess, flags, standins
from captionfleet.bench.machine import machine_facts

_RESULTS = Path(__file__).parent / "results" / "knee.json"
_WITHIN = 0.1
_BEFORE_HALVING = 6  # loads that are measured first
_DEADLINE_S = 900


@dataclass(frozen=True, slots=True)
class Scenario:
    """Stand-ins by their slots, and what the knees are in the end."""

    name: str
    slots: tuple[int, ...]
    knees: tuple[int, ...]
    max_queue: int = 1000
    halves: bool = False


SCENARIOS = (
    Scenario("16 slots", (16,), (16,)),
    Scenario("4, 16 and 64 slots", (4, 16, 64), (4, 16, 64)),
    Scenario("16 slots, halved midway", (16,), (8,), halves=True),
    Scenario("16 slots, 429 past a queue of 8", (16,), (16,), max_queue=8),
)


def measured(scenario: Scenario, request_s: float, seconds: float) -> dict[str, Any]:
    """Run the bench as its users do; its result."""
    own = [_flags(slots, scenario.max_queue, request_s) for slots in scenario.slots]
    with TemporaryDirectory() as folder, standins(*own) as running:
        out = Path(folder) / "bench.json"
        command = [sys.executable, "-m", "captionfleet", "bench", "--quiet", "--out", str(out)]
        command += ["--seconds", str(seconds), "--generate", "4", "--clip-seconds", "4"]
        for one in running:
            command += ["--base-url", one.base_url, "--model", "m"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            if scenario.halves:
                _halve(running[0], out, request_s, lambda: process.poll() is None)
            if process.wait(_DEADLINE_S):
                raise RuntimeError(f"{scenario.name}: the bench failed")
        finally:
            process.kill()
            process.wait()
        result: dict[str, Any] = json.loads(out.read_bytes())
        return result


def _flags(slots: int, max_queue: int, request_s: float) -> list[str]:
    return flags(
        slots=slots,
        max_queue=max_queue,
        service_time_s=request_s,
        service_time_jitter=0.2,
        completion_tokens=8,
    )


def _halve(
    standin: StandinProcess, out: Path, request_s: float, goes_on: Callable[[], bool]
) -> None:
    """Take half of the slots away once the first loads were measured."""
    while goes_on() and _points(out) < _BEFORE_HALVING:
        time.sleep(0.1)
    standin.kill()
    standin.flags = _flags(8, 1000, request_s)
    standin.start()


def _points(out: Path) -> int:
    if not out.exists():
        return 0
    return sum(len(one["points"]) for one in json.loads(out.read_bytes())["deployments"])


def rows(scenario: Scenario, result: dict[str, Any]) -> list[dict[str, Any]]:
    """One for each deployment: known and found."""
    return [
        {
            "scenario": scenario.name,
            "known": known,
            "found": one["knee"]["in_flight"],
            "clips_per_s": round(one["knee"]["clips_per_s"], 2),
            "loads": len(one["points"]),
            "seconds": round(sum(p["seconds"] + p["warm_up_s"] for p in one["points"]), 1),
            "client_cores": round(max(p["client"]["cores"] for p in one["points"]), 2),
            "loop_lag_p99_ms": round(
                1000 * max(p["client"]["loop_lag_p99_s"] for p in one["points"]), 1
            ),
            "within_10_percent": abs(one["knee"]["in_flight"] - known) <= _WITHIN * known,
        }
        for known, one in zip(scenario.knees, result["deployments"], strict=True)
    ]


def main() -> int:
    """Print the table, keep it as JSON; 1 if a knee was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--request-s", type=float, default=0.4)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", type=Path, default=_RESULTS)
    wanted = parser.parse_args()
    found = []
    for scenario in SCENARIOS:
        for row in rows(scenario, measured(scenario, wanted.request_s, wanted.seconds)):
            found.append(row)
            print(
                f"{row['scenario']:<32} known {row['known']:>3}  found {row['found']:>3}  "
                f"{row['clips_per_s']:>7} clips/s  {row['loads']:>2} loads in {row['seconds']:>5} s"
                f"  client {row['client_cores']:.2f} cores, lag {row['loop_lag_p99_ms']} ms"
                + ("" if row["within_10_percent"] else "  MISSED"),
                flush=True,
            )
    wanted.json.write_text(json.dumps({"machine": machine_facts(), "knees": found}, indent=2))
    return int(not all(row["within_10_percent"] for row in found))


if __name__ == "__main__":
    sys.exit(main())
