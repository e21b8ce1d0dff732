"""Clips of two to six seconds, for which starting costs most: CPU for each clip, against rivals.

Run from the checkout with the test environment: `python -m benchmarks.bench_short`. The clips are
cut without re-encoding from generated films of 720p and of 336p with a key frame every second. Each
contender is a whole command, its start included: `captionfleet prepare` with one worker process,
the guide's two ffmpeg commands for each clip, one ffmpeg for each clip, and one process that has
PyAV decode every frame of all clips.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import steps
from benchmarks.bench_prepare import spread
from benchmarks.contenders import one_process, two_commands
from benchmarks.films import CORPUS, SMALL, BenchFilm, cached, cut
from benchmarks.picks import require_same_frames
from benchmarks.spent import spent
from captionfleet.bench.machine import machine_facts

RESULTS = Path(__file__).parent / "results" / "short.json"
SECONDS = (2, 3, 4, 5, 6)
CHECKED = 5  # clips whose frames are compared with ffmpeg's
DEADLINE_S = 3600.0
RIVALS = ("guide", "one_ffmpeg", "pyav")


FILMS = {"720p": next(one for one in CORPUS if one.name == "h264-720p-gop1"), "336p": SMALL}


def main() -> int:
    """Measure in turns, print, and keep the figures; 0 if the targets are met."""
    asked = _arguments()
    result = json.loads(asked.json.read_bytes()) if asked.json.exists() else {}
    for size in asked.sizes:
        print(f"{size}:", flush=True)
        result[size] = _measured(FILMS[size], asked.clips, asked.rounds)
        asked.json.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps(result[size], indent=1))
    return int(not all(_is_met(result[size]["times_less"]) for size in asked.sizes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200, help="how many of each size")
    parser.add_argument("--sizes", nargs="+", choices=FILMS, default=list(FILMS), help="of these")
    parser.add_argument("--rounds", type=int, default=3, help="times everything is run, in turn")
    parser.add_argument("--json", type=Path, default=RESULTS)
    return parser.parse_args()


def _is_met(times_less: dict[str, Any]) -> bool:
    return bool(times_less["one_ffmpeg"]["median"] >= 3 and times_less["pyav"]["median"] >= 1)


def _measured(film: BenchFilm, clips: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for clip in list(_cut(film, folder / "clips", clips))[:CHECKED]:
            require_same_frames(clip)
        seen: dict[str, list[float]] = {one: [] for one in ("captionfleet", *RIVALS)}
        for turn in range(rounds):
            for contender, cpu_s in seen.items():
                cpu_s.append(_cpu_s(contender, folder, turn))
                print(f"{contender}: {clips / cpu_s[-1]:.1f} clips/s and core", flush=True)
    return _result(clips, seen)


def _cut(film: BenchFilm, folder: Path, count: int) -> Iterator[Path]:
    """Clips of each length in turn, from one place after the other; none has another's bytes."""
    folder.mkdir()
    for number in range(count):
        seconds, clip = SECONDS[number % len(SECONDS)], folder / f"{number:04}.mp4"
        begin_s, title = number * 7 % (60 - seconds), f"title={number}"
        yield cut(cached(film), clip, begin_s, seconds, "-metadata", title)


def _cpu_s(contender: str, folder: Path, turn: int) -> float:
    clips = folder / "clips"
    if contender == "captionfleet":
        store = folder / f"store-{turn}"
        settings: list[str | Path] = ["--workers", "1", "--store", store, "--quiet"]
        command = [sys.executable, "-m", "captionfleet", "prepare", clips, *settings]
        used = spent(command, DEADLINE_S)
    else:
        mine = folder / contender
        mine.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.bench_short", contender, clips, mine]
        used = spent(command, DEADLINE_S)
    if used.exit_code:
        raise RuntimeError(f"{contender}: exit code {used.exit_code}")
    return used.cpu_s


def _result(clips: int, seen: dict[str, list[float]]) -> dict[str, Any]:
    return {
        "machine": machine_facts(),
        "load": round(os.getloadavg()[0], 1),
        "clips": clips,
        "clips_per_core_s": {
            name: round(clips / statistics.median(cpu_s), 2) for name, cpu_s in seen.items()
        },
        "times_less": {rival: spread(seen[rival], seen["captionfleet"]) for rival in RIVALS},
    }


def prepare_all(contender: str, clips: Path, folder: Path) -> None:
    """One clip after the other, as a rival does it."""
    ways: dict[str, Callable[[Path, Path], object]] = {
        "guide": two_commands,
        "one_ffmpeg": one_process,
        "pyav": steps.every_frame,
    }
    for clip in sorted(clips.iterdir()):
        ways[contender](clip, folder)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in RIVALS:
        prepare_all(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(main())
