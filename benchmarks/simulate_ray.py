"""Ten million clips on 2,000 cores and 300 replicas: time, drivers, and what breaks first.

Run from the checkout: `python -m benchmarks.simulate_ray`. The router, windows and retries of a
real run on a virtual clock, fed at the rate that the cores give; the first clips are simulated, the
rest goes on at the rate of their middle. What a clip costs a worker is of results/prepare.json, and
what it costs a driver of results/driver.json.
"""

import argparse
import json
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from captionfleet.plan.model.server_model import DeploymentModel, Phase
from captionfleet.plan.model.simulator import Scenario, Simulated, simulate

RESULTS = Path(__file__).parent / "results"
SLOTS = 16
CURVE = ((1, 2.0), (SLOTS, 4.0), (2 * SLOTS, 4.0))  # as in simulate_fleet: 4 clips a second at most
MEDIA_BYTES = 800_000  # of a minute, as in the pipeline's README
NODE_CORES = 16
STORE_SHARE, NODE_BYTES = 0.3, 24 * 2**30  # what Ray takes of a node's memory for objects


@dataclass(frozen=True, slots=True)
class Case:
    """What is prepared, and what it costs a worker; 0: everything lies in the store."""

    name: str
    worker_s: float


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000_000)
    parser.add_argument("--cores", type=int, default=2_000)
    parser.add_argument("--replicas", type=int, default=300)
    parser.add_argument("--simulated", type=int, default=200_000)
    asked = parser.parse_args()
    driver = json.loads((RESULTS / "driver.json").read_bytes())
    print("| clips | clips/s | hours | replicas busy | drivers | object store | first to break |")
    print("|---|---|---|---|---|---|---|")
    for case in cases():
        supply = asked.cores / case.worker_s if case.worker_s else None
        fleet = tuple(replica(number) for number in range(asked.replicas))
        run = simulate(Scenario(deployments=fleet, clips=asked.simulated, supply_per_s=supply))
        print("| " + " | ".join(row(case, run, asked, driver)) + " |")
    return 0


def cases() -> Iterator[Case]:
    """Minutes of three kinds, and all of them prepared before."""
    films = json.loads((RESULTS / "prepare.json").read_bytes())["ratios"]["films"]
    for film, picks in (
        ("h264-1080p-gop2", "exact"),
        ("h264-1080p-gop2", "fast"),
        ("h264-720p-gop2", "exact"),
    ):
        yield Case(f"{film}, {picks}", statistics.median(films[film]["cpu_s"][picks]))
    yield Case("prepared ahead", 0.0)


def replica(number: int) -> DeploymentModel:
    """One that answers four clips a second from 16 in flight on."""
    up = Phase(slots=SLOTS, curve=CURVE, spread=0.3)
    return DeploymentModel(name=f"r{number}", phases=(up,))


def row(case: Case, run: Simulated, asked: argparse.Namespace, driver: dict) -> Iterator[str]:  # type: ignore[type-arg]
    """The cells of one case."""
    rate = middle_rate(run)
    seconds = run.seconds + (asked.clips - asked.simulated) / rate
    sender_per_s = 1000 / driver["sender"]["cpu_ms_per_request"]
    each = driver["clips_per_core_second"] if case.worker_s else sender_per_s
    busy = rate / (asked.replicas * SLOTS / CURVE[-1][1])
    yield f"{case.name} ({case.worker_s:.1f} s of CPU)" if case.worker_s else case.name
    yield f"{rate:,.0f}"
    yield f"{seconds / 3600:.1f}"
    yield f"{busy:.0%}"
    yield f"{math.ceil(rate / each)} at {each:.0f}/s"
    yield in_store(case, asked)
    yield breaks(case, rate, each, busy)


def in_store(case: Case, asked: argparse.Namespace) -> str:
    """Bytes of objects if each core has a finished clip that waits to be fetched."""
    if not case.worker_s:
        return "0"
    waiting = asked.cores * MEDIA_BYTES
    there = asked.cores / NODE_CORES * NODE_BYTES * STORE_SHARE
    return f"{waiting / 1e9:.1f} GB at most, of {there / 1e9:,.0f}"


def breaks(case: Case, rate: float, each: float, busy: float) -> str:
    """What a single run would meet first, then what limits several."""
    limit = "replicas" if busy > 0.9 or not case.worker_s else "cores"
    return f"one driver's CPU at {each:.0f} clips/s, then the {limit}" if rate > each else limit


def middle_rate(run: Simulated) -> float:
    """Clips a second, from three to eight tenths of the run."""
    first, last = (int(share * (len(run.captions_s) - 1)) for share in (0.3, 0.8))
    return (last - first) / (run.captions_s[last] - run.captions_s[first])


if __name__ == "__main__":
    raise SystemExit(main())
