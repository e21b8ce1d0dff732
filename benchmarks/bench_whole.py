"""A whole run against what a user would write instead, to the same two stand-ins.

Run from the checkout with the test environment: `python -m benchmarks.bench_whole`. The films are
copies of a generated minute of 720p, each with bytes of its own. The scripts are the guide's
example (`benchmarks/rivals/scripts.py`); all take turns, once without faults and once with a tenth
of the answers broken in eight ways. Stand-ins start for each run: its faults are the same draw.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from benchmarks.films import CORPUS, cached
from benchmarks.spent import spent
from benchmarks.standins import flags, standins
from captionfleet.bench.machine import machine_facts

RESULTS = Path(__file__).parent / "results" / "whole.json"
OURS, RIVALS = "captionfleet", ("threads-2", "threads-8", "asyncio")
FILM = "h264-720p-gop2"
SLOTS, SERVICE_S, JITTER = 4, 4.0, 0.3
KINDS = ("429", "500", "502-html", "503", "reset-before", "reset-during", "empty", "not-json")
FAULT_RATE = 0.1
DEADLINE_S = 1800.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One contender's run."""

    wall_s: float
    cpu_s: float
    captioned: int
    twice: int


def main() -> int:
    """Measure in turns, print, and keep the figures; 0 if no clip of ours is lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=16, help="films of a minute")
    parser.add_argument("--rounds", type=int, default=3, help="of each, in turns")
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        films = _films(Path(name) / "films", asked.clips)
        cases = {
            case: _turns(films, Path(name), rate, asked.rounds)
            for case, rate in (("no faults", 0.0), ("a tenth faulty", FAULT_RATE))
        }
    result = {
        "machine": machine_facts(),
        "load": round(os.getloadavg()[0], 1),
        "clips": asked.clips,
        "cases": {
            case: {one: _row(asked.clips, runs) for one, runs in seen.items()}
            for case, seen in cases.items()
        },
    }
    asked.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return int(any(case[OURS]["lost"] for case in result["cases"].values()))


def _films(folder: Path, count: int) -> Path:
    folder.mkdir()
    (source,) = (cached(one) for one in CORPUS if one.name == FILM)
    for number in range(count):
        with Path(shutil.copy(source, folder / f"{number:03}.mp4")).open("ab") as film:
            film.write(b"\0\0\0\x10free" + number.to_bytes(8))
    return folder


def _turns(films: Path, folder: Path, rate: float, rounds: int) -> dict[str, list[Seen]]:
    seen: dict[str, list[Seen]] = {one: [] for one in (OURS, *RIVALS)}
    for turn in range(rounds):
        for one, runs in seen.items():
            out = folder / f"{one}-{rate}-{turn}"
            runs.append(_run(one, films, out, rate, turn))
            print(f"{one}, {rate:.0%} faulty: {asdict(runs[-1])}", flush=True)
    return seen


def _run(contender: str, films: Path, out: Path, rate: float, seed: int) -> Seen:
    faults = [f"{kind}:{rate / len(KINDS)}" for kind in KINDS] if rate else []
    each = [
        flags(
            slots=SLOTS, service_time_s=SERVICE_S, service_time_jitter=JITTER,
            fault=faults, seed=2 * seed + number,
        )
        for number in range(2)
    ]  # fmt: skip
    out.mkdir()
    with standins(*each) as started:
        urls = [one.base_url for one in started]
        ours = contender == OURS
        command = _captionfleet(films, out, urls) if ours else _script(contender, films, out, urls)
        used = spent(command, DEADLINE_S)
    files = _captioned(out / "captions.jsonl")
    lines = len(files)
    return Seen(
        round(used.wall_s, 2), round(used.cpu_s, 2), len(set(files)), lines - len(set(files))
    )


def _captionfleet(films: Path, out: Path, urls: Sequence[str]) -> list[str]:
    store = out.with_name(f"{out.name}-store")
    command = [sys.executable, "-m", "captionfleet", "run", str(films), "--out", str(out)]
    command += [word for url in urls for word in ("--base-url", url, "--model", "m")]
    return [*command, "--store", str(store), "--quiet"]


def _script(way: str, films: Path, out: Path, urls: Sequence[str]) -> list[str]:
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    lines = str(out / "captions.jsonl")
    script = [sys.executable, "-m", "benchmarks.rivals.scripts"]
    return [*script, way, str(films), lines, ffmpeg, *urls]


def _captioned(lines: Path) -> list[str]:
    """The file names of the captions, ours or a script's."""
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    return [Path(one.get("source") or one["file"]).name for one in found if one["caption"]]


def _row(clips: int, runs: Sequence[Seen]) -> dict[str, Any]:
    return {
        **{
            f"{part}{how}": round(of(getattr(run, part) for run in runs), 2)
            for part in ("wall_s", "cpu_s")
            for how, of in (("", statistics.median), ("_min", min), ("_max", max))
        },
        "lost": sum(clips - run.captioned for run in runs),
        "of": clips * len(runs),
        "twice": sum(run.twice for run in runs),
    }


if __name__ == "__main__":
    sys.exit(main())
