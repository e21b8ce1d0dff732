"""A whole run against what a user would write instead, to the same two stand-ins.

Run from the checkout with the test environment: `python -m benchmarks.bench_whole`. The scripts are
the guide's example (`benchmarks/rivals/scripts.py`); all take turns. Without faults, films are a
generated minute of 720p. Where a tenth of the answers is broken in eight ways, they are six seconds
of it, and many: enough to count lost clips. Each film has bytes of its own. Stand-ins start for
each run, so that its faults are the same draw.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from benchmarks.films import CORPUS, cached, cut
from benchmarks.spent import spent
from benchmarks.standins import flags, standins
from captionfleet.bench.machine import machine_facts

RESULTS = Path(__file__).parent / "results" / "whole.json"
OURS, RIVALS = "captionfleet", ("threads-2", "threads-8", "asyncio")
FILM = "h264-720p-gop2"
SLOTS, JITTER = 4, 0.3
KINDS = ("429", "500", "502-html", "503", "reset-before", "reset-during", "empty", "not-json")
SHORT_S = 6
DEADLINE_S = 1800.0


@dataclass(frozen=True, slots=True)
class Case:
    """Films of one length, and how the stand-ins answer."""

    clips: int
    seconds: int
    service_s: float
    fault_rate: float


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
    parser.add_argument("--short", type=int, default=200, help="films of six seconds")
    parser.add_argument("--rounds", type=int, default=3, help="of each, in turns")
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()
    result: dict[str, Any] = {"machine": machine_facts(), "load": {}, "cases": {}}
    cases = {
        "minutes, no faults": Case(asked.clips, 60, 4.0, 0.0),
        "short, a tenth faulty": Case(asked.short, SHORT_S, 1.0, 0.1),
    }
    for name, case in cases.items():
        result["load"][name] = round(os.getloadavg()[0], 1)
        seen = _measured(case, asked.rounds)
        rows = {one: _row(case.clips, runs) for one, runs in seen.items()}
        result["cases"][name] = {**asdict(case), "runs": rows}
        asked.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return int(any(case["runs"][OURS]["lost"] for case in result["cases"].values()))


def _measured(case: Case, rounds: int) -> dict[str, list[Seen]]:
    with tempfile.TemporaryDirectory() as name:
        return _turns(_films(Path(name) / "films", case), Path(name), case, rounds)


def _films(folder: Path, case: Case) -> Path:
    folder.mkdir()
    (source,) = (cached(one) for one in CORPUS if one.name == FILM)
    for number in range(case.clips):
        begin_s = 2 * number % max(60 - case.seconds, 1)  # one key frame after the other
        clip = cut(source, folder / f"{number:03}.mp4", begin_s, case.seconds)
        with clip.open("ab") as film:
            film.write(b"\0\0\0\x10free" + number.to_bytes(8))
    return folder


def _turns(films: Path, folder: Path, case: Case, rounds: int) -> dict[str, list[Seen]]:
    seen: dict[str, list[Seen]] = {one: [] for one in (OURS, *RIVALS)}
    for turn in range(rounds):
        for one, runs in seen.items():
            runs.append(_run(one, films, folder / f"{one}-{turn}", case, turn))
            print(f"{one}, {case.fault_rate:.0%} faulty: {asdict(runs[-1])}", flush=True)
    return seen


def _run(contender: str, films: Path, out: Path, case: Case, seed: int) -> Seen:
    rate = case.fault_rate
    faults = [f"{kind}:{rate / len(KINDS)}" for kind in KINDS] if rate else []
    each = [
        flags(
            slots=SLOTS, service_time_s=case.service_s, service_time_jitter=JITTER,
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
