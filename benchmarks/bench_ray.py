"""The Ray pool against the local one, on the same two cores.

Run from the checkout after `make test-ray` has installed Ray: `python -m benchmarks.bench_ray`.
Both prepare the same films in turns, each round in a store of its own; the cluster has two nodes of
one CPU each on this machine, and is warm.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
from anyio import create_memory_object_stream

from captionfleet.bench.machine import machine_facts
from captionfleet.config import JobConfig
from captionfleet.messages import Clip, Failure, Outcome, ReadyClip, Source
from captionfleet.telemetry import Tally, monotonic_s
from captionfleet.workers.cluster.cluster import Cluster, open_cluster
from captionfleet.workers.pool import work
from captionfleet.workers.workspace import open_workspace
from tests.support.ray_cluster import ray_cluster
from tests.support.slow_film import write_slow_film

RESULTS = Path(__file__).parent / "results" / "ray.json"
CORES = 2


def main() -> int:
    """Measure, print, and keep the figures; 0 if the overhead is at most a tenth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=24, help="in each round")
    parser.add_argument("--rounds", type=int, default=5, help="of each pool, in turns")
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()
    require_ray(parser)
    with tempfile.TemporaryDirectory() as name, ray_cluster() as cluster:
        cluster.add_node(2)
        result = anyio.run(compared, Path(name), cluster.address, asked.clips, asked.rounds)
    asked.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return int(result["overhead"] > 0.1)


def require_ray(parser: argparse.ArgumentParser) -> None:
    """End with one line where Ray is not installed."""
    if find_spec("ray") is None:
        parser.error("Ray is not installed: make .venv/.ray installs it")


async def compared(folder: Path, address: str, count: int, rounds: int) -> dict[str, Any]:
    """Both pools in turns; the overhead is that of the median round."""
    films = films_of(folder, count)
    seen: dict[str, list[float]] = {"local": [], "ray": []}
    beyond_s: dict[str, list[float]] = {"local": [], "ray": []}
    remote = ray_job(folder / "warm", {"engine": "ray", "address": address})
    async with open_cluster(remote, Tally()) as (_, cluster):
        await one_round(folder / "warm", films[: 2 * CORES], cluster)
        for turn in range(rounds):
            for engine, took in seen.items():
                store = folder / f"{engine}-{turn}"
                took_s, prepare_s = await one_round(
                    store, films, cluster if engine == "ray" else None
                )
                took.append(round(took_s, 3))
                beyond_s[engine].append(round(took_s * CORES / count - prepare_s, 3))
                shutil.rmtree(store)
    medians = {engine: statistics.median(one) for engine, one in seen.items()}
    pairs = [ray / local for ray, local in zip(seen["ray"], seen["local"], strict=True)]
    return {
        "machine": machine_facts(),
        "load": round(os.getloadavg()[0], 1),
        "clips": count,
        "round_s": seen,
        "core_s_per_clip_beyond_the_worker": beyond_s,
        "median_s": medians,
        "overhead": round(statistics.median(pairs) - 1, 4),
    }


async def one_round(
    store: Path, films: Sequence[Path], cluster: Cluster | None
) -> tuple[float, float]:
    """Wall clock of all clips, and the mean that a worker needed for one, in seconds."""
    clips_out, clips_in = create_memory_object_stream[Clip](len(films))
    ready_out, ready_in = create_memory_object_stream[ReadyClip](len(films))
    failed_out, failed_in = create_memory_object_stream[Outcome](len(films))
    job = ray_job(store, {})
    for film in films:
        facts = film.stat()
        source = Source(os.fspath(film), film.name, facts.st_size, facts.st_mtime_ns)
        clips_out.send_nowait(Clip(film.name, source, 0.0, 60.0))
    clips_out.close()
    started_s = monotonic_s()
    async with open_workspace(job.store) as media, ready_in, failed_in:
        await work(job, media, Tally(), clips_in, ready_out, failed_out, cluster)
        took_s = monotonic_s() - started_s
        ready = [one async for one in ready_in]
        failures = [one async for one in failed_in if isinstance(one, Failure)]
    if failures or len(ready) != len(films):
        raise RuntimeError(f"{len(ready)} of {len(films)} clips: {failures[:1]}")
    return took_s, statistics.mean(one.prepare_s for one in ready)


def ray_job(store: Path, workers: dict[str, Any]) -> JobConfig:
    """A job of two workers, wherever they are."""
    return JobConfig.model_validate(
        {"workers": {"processes": CORES} | workers, "store": {"dir": store}}
    )


def films_of(folder: Path, count: int) -> list[Path]:
    """Copies of a film that keeps a worker busy for a second or more."""
    first = write_slow_film(folder / "film-0.mp4")
    copies = [folder / f"film-{number}.mp4" for number in range(1, count)]
    return [first, *(Path(shutil.copy(first, copy)) for copy in copies)]


if __name__ == "__main__":
    raise SystemExit(main())
