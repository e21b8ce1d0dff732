"""How much one run feeds: CPU of its main process for a clip, on Ray and in the sender.

Run from the checkout after `make test-ray` has installed Ray: `python -m benchmarks.driver_limit`.
The event loop is one thread. On Ray: its CPU for a clip from handing
it out to media in the store, over a cluster of this machine, Ray's own threads included. The
sender: 1 MB of media a clip, with a stand-in that answers at once, as fast as both go.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio

from benchmarks.bench_ray import one_round, ray_job, require_ray
from benchmarks.sender_load import Load, measure
from benchmarks.standins import flags, standins
from captionfleet.bench.machine import machine_facts
from captionfleet.telemetry import Tally
from captionfleet.workers.cluster.cluster import open_cluster
from tests.support.ray_cluster import ray_cluster
from tests.support.tiny_films import write_tiny_films

RESULTS = Path(__file__).parent / "results" / "driver.json"
IN_FLIGHT, SERVICE_S = 64, 0.05
MEDIA_BYTES = 1_000_000


def main() -> int:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the sender alone")
    parser.add_argument("--clips", type=int, default=200, help="on Ray")
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()
    require_ray(parser)
    with tempfile.TemporaryDirectory() as name:
        sender = sending(Path(name), asked.seconds)
        with ray_cluster() as cluster:
            cluster.add_node(2)
            taking = anyio.run(preparing, Path(name), cluster.address, asked.clips)
    each_s = (sender["cpu_ms_per_request"] + taking["cpu_ms_per_clip"]) / 1000
    result = {
        "machine": machine_facts(),
        "load": round(os.getloadavg()[0], 1),
        "sender": sender,
        "ray": taking,
        "clips_per_core_second": round(1 / each_s, 1),
    }
    asked.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return 0


def sending(folder: Path, seconds: float) -> dict[str, Any]:
    """Requests as fast as one sender and one stand-in go, each with a core."""
    with standins(flags(slots=IN_FLIGHT, max_queue=IN_FLIGHT, service_time_s=SERVICE_S)) as fleet:
        load = Load(
            client="sender",
            base_urls=(fleet[0].base_url,),
            folder=str(folder),
            in_flight=(IN_FLIGHT,),
            seconds=seconds,
            media_bytes=MEDIA_BYTES,
        )
        seen = measure(load)
    rate = seen.captions_per_s(seconds / 4, seconds)
    return {
        "requests_per_s": round(rate, 1),
        "body_mb_per_s": round(rate * MEDIA_BYTES * 4 / 3 / 1e6, 1),
        "cpu_ms_per_request": round(1000 * seen.cpu_s / max(1, len(seen.captions_s)), 3),
        "wrong_media": seen.wrong_media,
    }


async def preparing(folder: Path, address: str, clips: int) -> dict[str, Any]:
    """CPU of the main process for each clip that nodes prepare; the films are tiny."""
    films = write_tiny_films(folder / "films", clips)
    remote = ray_job(folder / "warm", {"engine": "ray", "address": address})
    async with open_cluster(remote, Tally()) as (_, cluster):
        await one_round(folder / "warm", films[:8], cluster)
        begun_s, loop_begun_s = time.process_time(), time.thread_time()
        took_s, _ = await one_round(folder / "store", films, cluster)
        cpu_s, loop_s = time.process_time() - begun_s, time.thread_time() - loop_begun_s
        begun_s = time.process_time()
        await anyio.sleep(5.0)
        idle_s = (time.process_time() - begun_s) / 5.0
    return {
        "clips": clips,
        "seconds": round(took_s, 1),
        "cpu_ms_per_clip": round(1000 * (cpu_s - idle_s * took_s) / clips, 3),
        "loop_cpu_ms_per_clip": round(1000 * loop_s / clips, 3),
        "idle_cpu_share": round(idle_s, 4),
    }


if __name__ == "__main__":
    raise SystemExit(main())
