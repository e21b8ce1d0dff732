"""Foretells runs with `captionfleet plan` and then does them: predicted against measured time.

A reference run on two stand-in deployments, then runs that differ from it in clips, replicas or
the deployments' manners; each is foretold from the reference alone. One that the cores limit has
a reference at its side.
Run as `python -m benchmarks.bench_plan`; minutes, most of them spent waiting.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

from benchmarks.standins import flags, standins
from captionfleet.bench.machine import machine_facts
from captionfleet.standin.films.film import Film, Look, Sound, write_film

RESULTS = Path(__file__).parent / "results" / "plan.json"
DEADLINE_S = 600.0
WITHIN = 0.15


@dataclass(frozen=True, slots=True)
class Case:
    """One run: how many clips of which films, on how many replicas and cores.

    Attributes:
        sizes: Width and height of the films, in pixels.
        lengths_s: Of the films; every size comes in every length.
        jitter: By which part the deployments' service time varies.
        beside: A reference that runs at the same time, so that both find the machine alike:
            what a core does in a second depends on what else it does.
    """

    name: str
    clips: int
    replicas: int
    cores: int
    sizes: tuple[tuple[int, int], ...]
    lengths_s: tuple[int, ...]
    jitter: float = 0.3
    beside: "Case | None" = None


TINY, SMALL, LARGE = (160, 90), (320, 180), (1280, 720)
REFERENCE = Case("reference", 126, 2, 2, (TINY, SMALL, LARGE), (2, 4, 8))
CORES = Case("reference for cores", 126, 4, 2, (SMALL, LARGE), (4, 8, 16))
CASES = (
    Case("one core, long clips of large pictures", 70, 4, 1, (LARGE,), (12, 20), beside=CORES),
    Case("twice the replicas, shorter clips", 200, 4, 2, (TINY, SMALL), (2, 3)),
    Case("half the replicas, longer clips", 50, 1, 2, (SMALL,), (6, 12)),
    Case("three replicas, more clips", 190, 3, 2, (TINY,), (2, 3, 6)),
    Case("deployments that vary more", 110, 2, 2, (TINY, SMALL), (2, 8), jitter=0.8),
)
SLOTS, SERVICE_S = 8, 10.0


@dataclass(frozen=True, slots=True)
class Measured:
    """A run that was foretold and done; times in seconds."""

    case: Case
    low_s: float
    predicted_s: float
    high_s: float
    measured_s: float
    predicted_limit: str
    measured_limit: str

    @property
    def error(self) -> float:
        """How far the prediction is off, as a part of what was measured."""
        return self.predicted_s / self.measured_s - 1


def main() -> int:
    """Do the reference and the cases, print the table, keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    before = machine_facts()
    with tempfile.TemporaryDirectory(prefix="bench_plan-") as name:
        folder = Path(name)
        reference = caption(folder, "reference", REFERENCE)
        print(f"reference: {reference['seconds']:.1f} s, limited by {_limit(reference)}")
        measured = [compared(folder, f"case-{n}", case) for n, case in enumerate(CASES, 1)]
    keep(arguments.json, reference, measured, [before, machine_facts()])
    worst = max(abs(one.error) for one in measured)
    print(f"worst error {worst:.1%}, wanted {WITHIN:.0%}")
    return int(worst > WITHIN)


def compared(folder: Path, name: str, case: Case) -> Measured:
    """Foretell a run, and do it; one with a reference beside it is foretold when that is done."""
    films(folder / "films" / name, case)
    if case.beside is None:
        told = foretold(folder, name, case, "reference")
        run = caption(folder, name, case)
    else:
        films(folder / "films" / "beside", case.beside)
        with ThreadPoolExecutor() as threads:
            reference = threads.submit(caption, folder, "beside", case.beside)
            run = caption(folder, name, case)
            reference.result()
        told = foretold(folder, name, case, "beside")
    seconds = told["plan"]["seconds"]
    one = Measured(
        case=case,
        low_s=seconds["low"],
        predicted_s=seconds["expected"],
        high_s=seconds["high"],
        measured_s=run["seconds"],
        predicted_limit=told["plan"]["bottleneck"]["limit"],
        measured_limit=_limit(run),
    )
    print(
        f"{case.name}: predicted {one.predicted_s:.1f} s ({one.low_s:.1f} to {one.high_s:.1f}), "
        f"measured {one.measured_s:.1f} s, {one.error:+.1%}; "
        f"limited by {one.predicted_limit}, {one.measured_limit}",
        flush=True,
    )
    return one


def caption(folder: Path, name: str, case: Case) -> dict[str, Any]:
    """Do a run with media of its own; return its run.json."""
    sources, out = films(folder / "films" / name, case), folder / "out" / name
    own = flags(
        slots=SLOTS, max_queue=64, service_time_s=SERVICE_S, service_time_jitter=case.jitter
    )
    with standins(*(own for _ in range(case.replicas))) as started:
        where = [word for one in started for word in ("--base-url", one.base_url, "--model", "m")]
        store = folder / "store" / name
        words = ["run", sources, "--out", out, "--store", store, "--workers", case.cores, *where]
        command(*words, "--quiet")
    shutil.rmtree(store)
    run: dict[str, Any] = json.loads((out / "run.json").read_bytes())
    if run["captioned"] != case.clips:
        raise RuntimeError(f"{run['captioned']} of {case.clips} clips were captioned")
    return run


def foretold(folder: Path, name: str, case: Case, reference: str) -> dict[str, Any]:
    """What the plan says of a run."""
    words = ["plan", folder / "films" / name, "--from", folder / "out" / reference, "--json"]
    told = command(*words, "--replicas", case.replicas, "--cores", case.cores)
    answer: dict[str, Any] = json.loads(told)
    return answer


def command(*words: object) -> str:
    """Run captionfleet; return what it prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "captionfleet", *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return ended.stdout


def films(folder: Path, case: Case) -> Path:
    """Write the films of a case, each kind once, and copy them to the number of clips."""
    if folder.exists():
        return folder
    folder.mkdir(parents=True)
    kinds = [written(folder.parent, size, length_s) for size, length_s in _kinds(case)]
    for number, kind in enumerate(islice(cycle(kinds), case.clips)):
        shutil.copy2(kind, folder / f"{number:04}.mp4")
    return folder


def _kinds(case: Case) -> Iterator[tuple[tuple[int, int], int]]:
    return product(case.sizes, case.lengths_s)


def written(folder: Path, size: tuple[int, int], seconds: int) -> Path:
    """One film of a size and length."""
    width_px, height_px = size
    path = folder / f"{width_px}x{height_px}-{seconds}.mp4"
    if not path.exists():
        look, sounds = Look(scene_s=2.0), (Sound(layout="mono"),)
        write_film(path, Film(seconds, width_px, height_px, look=look, sounds=sounds))
    return path


def _limit(run: dict[str, Any]) -> str:
    return str(run["bottleneck"]["limit"])


def keep(
    path: Path,
    reference: dict[str, Any],
    measured: list[Measured],
    machine: list[dict[str, str | int | float]],
) -> None:
    """Write the results, with the machine before and after."""
    record = {
        "reference": asdict(REFERENCE) | {"seconds": reference["seconds"]},
        "stand_ins": {"slots": SLOTS, "service_time_s": SERVICE_S},
        "cases": [asdict(one) | {"error": round(one.error, 4)} for one in measured],
        "machine": machine,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
