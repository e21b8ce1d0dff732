"""CPU time of the media step against what people do instead, on the same minute of film.

Run from the checkout with the test environment: `python -m benchmarks.bench_prepare`.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import imageio_ffmpeg

from benchmarks.breakdown import break_down
from benchmarks.contenders import CONTENDERS, in_python
from benchmarks.films import CORPUS, LARGE, cached
from benchmarks.picks import require_same_frames
from benchmarks.real_clips import CLIPS, fetched
from benchmarks.scaling import seconds_with
from captionfleet.bench.machine import machine_facts

RESULTS = Path(__file__).parent / "results" / "prepare.json"
RIVALS = ("guide", "one_ffmpeg", "pyav")
OURS = ("exact", "fast")
MEBIBYTE = 2**20


def main() -> int:
    """Measure what is asked for, print it, and keep it beside what was measured before."""
    asked = _arguments()
    films = [film_path(name) for name in asked.films]
    result = json.loads(asked.json.read_bytes()) if asked.json.exists() else {}
    result["machine"] = _machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, measure in _PARTS.items():
            if getattr(asked, part):
                for told in measure(films, asked.rounds, folder):
                    result[part] = told
                    asked.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["machine"]))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*(one.name for one in CORPUS), *(one.name for one in CLIPS)]
    parser.add_argument(
        "--films", nargs="+", default=names, help=f"of {', '.join(names)}; or files"
    )
    parser.add_argument("--rounds", type=int, default=3, help="times everything is run, in turn")
    parser.add_argument("--json", type=Path, default=RESULTS)
    for part, measure in _PARTS.items():
        parser.add_argument(f"--{part}", action="store_true", help=measure.__doc__)
    asked = parser.parse_args()
    if not any(getattr(asked, part) for part in _PARTS):
        asked.ratios = True
    return asked


def film_path(name: str) -> Path:
    """The file of a film of the corpus or of a real clip, or the file that is named."""
    for film in CORPUS:
        if film.name == name:
            return cached(film)
    for clip in CLIPS:
        if clip.name == name:
            return fetched(clip)
    return Path(name)


def _name(film: Path) -> str:
    """Without the mark of its recipe, if it is of the corpus."""
    return next((one.name for one in CORPUS if film.stem.startswith(f"{one.name}-")), film.stem)


def _machine() -> dict[str, Any]:
    return {**machine_facts(), "ffmpeg": imageio_ffmpeg.get_ffmpeg_version()}


def ratios(films: list[Path], rounds: int, folder: Path) -> Iterator[dict[str, Any]]:
    """CPU time of everybody, and how many times less ours is."""
    costs: dict[str, dict[str, list[float]]] = {}
    for number in range(rounds):
        for film in films:
            if not number:
                require_same_frames(film)
                costs[_name(film)] = {name: [] for name in CONTENDERS}
            for name, run in CONTENDERS.items():
                costs[_name(film)][name].append(round(run(film, folder).cpu_s, 3))
            told = {name: _compared(of_film) for name, of_film in costs.items()}
            print(f"round {number + 1}: {_row(_name(film), told[_name(film)])}", flush=True)
            means = {ours: {rival: _mean(told, ours, rival) for rival in RIVALS} for ours in OURS}
            yield {"films": told, "geometric_mean": means}
    print(json.dumps(means))


def _compared(costs: dict[str, list[float]]) -> dict[str, Any]:
    return {
        "cpu_s": costs,
        "times_less": {
            ours: {rival: spread(costs[rival], costs[ours]) for rival in RIVALS} for ours in OURS
        },
    }


def spread(theirs: list[float], ours: list[float]) -> dict[str, float]:
    """How many times less ours is, round by round."""
    each = [a / b for a, b in zip(theirs, ours, strict=True)]
    found = {"median": statistics.median(each), "min": min(each), "max": max(each)}
    return {name: round(value, 2) for name, value in found.items()}


def _mean(told: dict[str, Any], ours: str, rival: str) -> float:
    each = [film["times_less"][ours][rival]["median"] for film in told.values()]
    return round(math.exp(statistics.fmean(map(math.log, each))), 2)


def _row(name: str, film: dict[str, Any]) -> str:
    """A row of the table in README.md."""
    cells = [f"{statistics.median(film['cpu_s'][one]):.1f}" for one in (*RIVALS, *OURS)]
    for ours in OURS:
        less = film["times_less"][ours]["guide"]
        cells.append(f"**{less['median']:.2f}** ({less['min']:.2f} to {less['max']:.2f})")
    return f"| {name} | {' | '.join(cells)} |"


def overhead(films: list[Path], rounds: int, folder: Path) -> Iterator[dict[str, Any]]:
    """What exact takes beyond the bare library calls for the same packets and frames."""
    told: dict[str, Any] = {}
    for film in films:
        in_python("plan")(film, folder)
        shares = []
        for _ in range(rounds):
            bare_s, exact_s = (in_python(name)(film, folder).cpu_s for name in ("bare", "exact"))
            shares.append(exact_s / bare_s - 1)
        told[_name(film)] = [round(share, 3) for share in shares]
        print(f"overhead {_name(film)}: {told[_name(film)]}", flush=True)
        every = [share for of_film in told.values() for share in of_film]
        yield {"films": told, "median": round(statistics.median(every), 3)}


def breakdown(films: list[Path], rounds: int, _: Path) -> Iterator[dict[str, Any]]:
    """Where the CPU time of ours goes: medians of the rounds."""
    told: dict[str, Any] = {}
    for film in films:
        for sampling in OURS:
            runs = [break_down(film, sampling) for _ in range(rounds)]
            parts = {part: statistics.median(run.get(part, 0) for run in runs) for part in runs[0]}
            told.setdefault(_name(film), {})[sampling] = {k: round(v, 3) for k, v in parts.items()}
            print(_name(film), sampling, told[_name(film)][sampling], flush=True)
        yield told


def memory(_: list[Path], __: int, folder: Path) -> Iterator[dict[str, int]]:
    """Peak resident memory of a process that prepares a minute of 4K."""
    # A child's peak counts what its parent had in memory, and making a film takes gigabytes.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        film = other.submit(cached, LARGE).result()
    peaks = {name: CONTENDERS[name](film, folder).peak_rss_bytes / MEBIBYTE for name in OURS}
    told = {f"{name}_mib": round(peak) for name, peak in peaks.items()}
    print("peak memory on 4K", told)
    yield told


def scaling(films: list[Path], rounds: int, folder: Path) -> Iterator[dict[str, Any]]:
    """How much sooner two worker processes are done than one; needs two idle cores."""
    film = films[0]
    times = [[anyio.run(seconds_with, n, film, folder) for n in (1, 2)] for _ in range(rounds)]
    each = [round(one_s / two_s, 2) for one_s, two_s in times]
    told = {"film": _name(film), "times_faster": each, "median": statistics.median(each)}
    print("two workers against one", told)
    yield told


_PARTS: dict[str, Callable[[list[Path], int, Path], Iterator[Any]]] = {
    "ratios": ratios,
    "overhead": overhead,
    "breakdown": breakdown,
    "memory": memory,
    "scaling": scaling,
}

if __name__ == "__main__":
    sys.exit(main())
