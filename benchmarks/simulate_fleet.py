"""A million clips over a thousand replicas on the simulator's virtual clock.

Run from the checkout: `python -m benchmarks.simulate_fleet [CLIPS] [REPLICAS]`. Every tenth
replica has twice the slots; one in twenty goes down for five minutes; two answers in a hundred
are bad. The router, the windows and the retries are those that a run uses.
"""

import argparse
import random
import sys
import time
from dataclasses import replace

from captionfleet.errors import FailureCode
from captionfleet.plan.model.server_model import DeploymentModel, Phase, Standing
from captionfleet.plan.model.simulator import Scenario, simulate
from captionfleet.sender.routing.verdict import judge

SLOTS = 16
CURVE = ((1, 2.0), (SLOTS, 4.0), (2 * SLOTS, 4.0))
ERRORS = (judge(FailureCode.DISCONNECTED, ""), judge(FailureCode.EMPTY_CAPTION, ""))
DOWN_S = 300.0


def replica(number: int, busy_s: float) -> DeploymentModel:
    """One of the fleet; some are larger, and some fail at a time of their own."""
    slots = 2 * SLOTS if number % 10 == 0 else SLOTS
    up = Phase(slots=slots, curve=CURVE, spread=0.3, error_share=0.02, errors=ERRORS)
    phases = [up]
    if number % 20 == 1:
        from_s = random.Random(number).uniform(0, busy_s)  # noqa: S311 - repeatable
        phases.append(Phase(from_s=from_s, standing=Standing.DOWN))
        phases.append(replace(up, from_s=from_s + DOWN_S))
    return DeploymentModel(name=f"r{number}", phases=tuple(phases))


def main(clips: int, replicas: int) -> int:
    """Print what came of it, and what the simulation took; 0 if every clip ended once."""
    busy_s = clips / (1.1 * replicas * SLOTS / CURVE[-1][1])
    fleet = tuple(replica(number, busy_s) for number in range(replicas))
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    result = simulate(Scenario(deployments=fleet, clips=clips))
    took_s, took_cpu_s = time.perf_counter() - begun_s, time.process_time() - begun_cpu_s
    utilisation = sum(one.utilisation for one in result.deployments) / replicas
    print(f"{clips:,} clips over {replicas:,} replicas")
    print(f"simulated in: {took_s:.0f} s, CPU {took_cpu_s:.0f} s")
    print(f"virtual time: {result.seconds:,.0f} s, slots in use {utilisation:.1%}")
    print(f"captioned: {result.captioned:,}, failed: {result.failed.total():,}")
    print(f"requests: {result.attempts:,}, refused: {result.refused_share():.2%}")
    print(f"clips that ended once: {result.ends.count(1):,}")
    return int(result.ends.count(1) != clips)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate_fleet", description=__doc__
    )
    parser.add_argument("clips", type=int, nargs="?", default=1_000_000)
    parser.add_argument("replicas", type=int, nargs="?", default=1_000)
    asked = parser.parse_args()
    sys.exit(main(asked.clips, asked.replicas))
