"""The whole command over 500 short clips, against the bound that its bottleneck sets."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, at_least
from benchmarks.standins import StandinProcess, flags, standins
from captionfleet.standin.films.film import Film, write_film
from tests.support.job_file import write_job
from tests.support.tiny_films import lay_to_rest

CLIPS = 500
DISTINCT = 10
FILM_S = 4.0
SLOTS, SERVICE_S = (4, 6), 1.5
DEADLINE_S = 900


def pipeline(folder: Path) -> tuple[list[Figure], dict[str, Any]]:
    """Bound by cores: the worker's time, and what `prepare` takes. By deployments: their slots'.

    One worker, so that the core of the sender and of the stand-ins is not one of the bound.
    """
    _films(folder / "videos")
    quick = [flags(slots=64, max_queue=256, service_time_s=0.2)]
    slow = [flags(slots=n, max_queue=256, service_time_s=SERVICE_S) for n in SLOTS]
    before_s = _prepare(folder, "before")
    with standins(*quick) as fleet:
        cores_s, cores = _run(folder, fleet, "cores")
    after_s = _prepare(folder, "after")
    with standins(*slow) as fleet:  # the media are in the store by now
        slots_s, deployments = _run(folder, fleet, "deployments")
    prepare_s = (before_s + after_s) / 2
    busy = cores["time_share"]["workers_busy"]
    bound_s = CLIPS * SERVICE_S / sum(SLOTS)
    figures = [
        at_least("bound by cores: the worker busy, of all its time", busy, 0.95),
        at_least("bound by cores: prepare alone, of the whole run", prepare_s / cores_s, 0.95),
        at_least("bound by deployments", bound_s / slots_s, 0.95),
        at_least("captions", min(cores["captioned"], deployments["captioned"]), CLIPS),
    ]
    return figures, {
        "clips": CLIPS,
        "prepare_s": [before_s, after_s],
        "cores_s": cores_s,
        "deployments_s": slots_s,
        "bound_by_deployments_s": bound_s,
        "bottleneck": {"cores": cores["bottleneck"], "deployments": deployments["bottleneck"]},
    }


def _films(folder: Path) -> None:
    folder.mkdir()
    for number in range(DISTINCT):
        write_film(folder / f"{number:03}.mp4", Film(seconds=FILM_S + number / 10))
    for number in range(DISTINCT, CLIPS):
        os.link(folder / f"{number % DISTINCT:03}.mp4", folder / f"{number:03}.mp4")
    lay_to_rest(folder)


def _prepare(folder: Path, name: str) -> float:
    return _timed(
        folder, "prepare", "videos", "--out", name, "--store", f"store-{name}", "--workers", "1"
    )


def _run(folder: Path, fleet: list[StandinProcess], name: str) -> tuple[float, dict[str, Any]]:
    urls = [one.base_url for one in fleet]
    job = write_job(folder / f"{name}.toml", *urls, tables={"store": {"dir": "store"}})
    seconds = _timed(
        folder, "run", "videos", "--job", job.name, "--out", name, "--quiet", "--workers", "1"
    )
    told: dict[str, Any] = json.loads((folder / name / "run.json").read_text())
    return seconds, told


def _timed(folder: Path, *words: str) -> float:
    """Run the command; the wall clock from its start to its end."""
    begun_s = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "captionfleet", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return round(time.monotonic() - begun_s, 2)
