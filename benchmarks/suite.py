"""What `make bench` runs: the suites in minutes, one table of figures and targets, the chart.

Results go to a folder of their own, so that those checked in stay as they were measured; with
`--checked-in` it only reads those, prints their table and draws the README's chart.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chart import drawn
from benchmarks.figures import Figure, at_least, at_most

_CHECKED_IN = Path(__file__).parent / "results"
_OWN = Path("bench-results")
_FILMS = (
    "h264-1080p-gop1",
    "h264-1080p-gop2",
    "h264-720p-gop10",
    "hevc-1080p-gop2",
    "vp9-1080p-gop5",
)
_SENDER_PARTS = tuple(
    f"--only={part}" for part in ("throughput", "memory", "window-one", "window-refusing")
)
_DEADLINE_S = 1800
_END_S = 60

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Suite:
    """One benchmark: how it is run in minutes, and its figures in its result."""

    name: str
    arguments: tuple[str, ...]
    figures: Callable[[Result], Iterator[Figure]]

    def run(self, folder: Path) -> Iterator[Figure]:
        """Run it, whatever it says; figures that are missed where it does not end by itself."""
        out = folder / f"{self.name}.json"
        out.unlink(missing_ok=True)
        command = [sys.executable, "-m", f"benchmarks.bench_{self.name}", *self.arguments]
        process = subprocess.Popen([*command, "--json", str(out)], process_group=0)
        try:
            process.wait(_DEADLINE_S)
        except subprocess.TimeoutExpired:
            yield Figure(f"{self.name}: stopped, s", _DEADLINE_S, "", is_met=False)
        finally:
            _end(process)
        if not out.exists():
            yield Figure(f"{self.name} left no result", 0.0, "", is_met=False)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt a benchmark with all that it started, as Ctrl-C does, and kill it if it stays."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)


def _of_prepare(result: Result) -> Iterator[Figure]:
    means = result["ratios"]["geometric_mean"]
    films = result["ratios"]["films"]
    yield at_least("exact: times less CPU than the two ffmpeg commands", means["exact"]["guide"], 2)
    worst = min(
        film["times_less"]["exact"][rival]["median"]
        for film in films.values()
        for rival in film["times_less"]["exact"]
    )
    yield at_least("exact: times less CPU than the best rival, worst film", worst, 1)
    for gop_s, least in ((1, 4), (2, 3)):
        fast = [
            film["times_less"]["fast"]["guide"]["median"]
            for name, film in films.items()
            if name.startswith("h264") and name.endswith(f"gop{gop_s}")
        ]
        if fast:
            title = f"fast: times less CPU, key frame every {gop_s} s"
            yield at_least(title, min(fast), least)
    if "overhead" in result:
        yield at_most("overhead over the bare library calls", result["overhead"]["median"], 0.05)
    if "memory" in result:
        yield at_most("peak MiB of a worker on 4K", result["memory"]["exact_mib"], 400)
    if "scaling" in result:
        yield at_least("two workers against one", result["scaling"]["median"], 1.9)


def _of_sender(result: Result) -> Iterator[Figure]:
    for part, told in result.items():
        for one in told["figures"]:
            yield Figure(f"{part}: {one['name']}", one["value"], one["target"], one["is_met"])


def _of_knee(result: Result) -> Iterator[Figure]:
    for one in result["knees"]:
        off = abs(one["found"] / one["known"] - 1)
        yield at_most(
            f"knee of {one['scenario']}: {one['found']} for {one['known']}, off by", off, 0.1
        )


def _of_plan(result: Result) -> Iterator[Figure]:
    for one in result["cases"]:
        yield at_most(f"plan, {one['case']['name']}: off by", abs(one["error"]), 0.15)


def _of_short(result: Result) -> Iterator[Figure]:
    for size, measured in result.items():
        for rival, least in (("one_ffmpeg", 3), ("pyav", 1)):
            less = measured["times_less"][rival]["median"]
            yield at_least(f"{size} of 2 to 6 s: times less CPU than {rival}", less, least)


def _of_whole(result: Result) -> Iterator[Figure]:
    for case, seen in result["cases"].items():
        ours = seen["runs"]["captionfleet"]
        yield at_most(f"whole run, {case}: clips lost", ours["lost"], 0)
        for rival, row in seen["runs"].items():
            if rival != "captionfleet":
                title = f"whole run, {case}: times sooner than {rival}"
                yield at_least(title, row["wall_s"] / ours["wall_s"], 1)


SUITES = (
    Suite("prepare", ("--ratios", "--rounds", "1", "--films", *_FILMS), _of_prepare),
    Suite("sender", _SENDER_PARTS, _of_sender),
    Suite("knee", ("--request-s", "0.2", "--seconds", "3"), _of_knee),
    Suite("plan", (), _of_plan),
    Suite("short", ("--clips", "50", "--rounds", "1"), _of_short),
    Suite("whole", ("--clips", "6", "--short", "80", "--rounds", "1"), _of_whole),
)


def main() -> int:
    """Run what is asked for, print the table, draw the chart; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [suite.name for suite in SUITES]
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(names)}; all")
    parser.add_argument("--checked-in", action="store_true", help="only show what is checked in")
    asked = parser.parse_args()
    if unknown := set(asked.suites) - set(names):
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    folder = _CHECKED_IN if asked.checked_in else _OWN
    folder.mkdir(exist_ok=True)
    rows: list[Figure] = []
    for suite in SUITES:
        if asked.suites and suite.name not in asked.suites:
            continue
        if not asked.checked_in:
            rows += suite.run(folder)
        path = folder / f"{suite.name}.json"
        if path.exists():
            rows += suite.figures(json.loads(path.read_bytes()))
    _print(rows)
    if (prepared := folder / "prepare.json").exists():
        chart = folder / "prepare.svg"
        chart.write_text(drawn(json.loads(prepared.read_bytes())["ratios"]))
        print(f"\nchart: {chart}")
    return int(not all(row.is_met for row in rows))


def _print(rows: list[Figure]) -> None:
    width = max((len(row.name) for row in rows), default=0)
    print()
    for row in rows:
        verdict = "" if row.is_met else "   MISSED"
        print(f"{row.name:<{width}}  {row.value:>8.3g}  {row.target}{verdict}")


if __name__ == "__main__":
    sys.exit(main())
