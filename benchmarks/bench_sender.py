"""The sender's figures: real sockets, stand-in replicas in processes of their own.

Run from the checkout: `python -m benchmarks.bench_sender [--only PART ...]`. Figures are ratios
within one run. They are printed, and kept with the machine's facts in results/sender.json, where
parts that are not run again stay. Exit code 1: one misses its target.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.sender_faults import faults
from benchmarks.sender_pipeline import pipeline
from benchmarks.sender_throughput import memory, throughput
from benchmarks.sender_windows import SCENARIOS, window
from captionfleet.bench.machine import machine_facts

RESULTS = Path(__file__).parent / "results" / "sender.json"

Part = Callable[[Path], tuple[list[Figure], dict[str, Any]]]
PARTS: dict[str, Part] = {
    "throughput": throughput,
    "memory": memory,
    **{f"window-{name}": partial(window, scenario) for name, scenario in SCENARIOS.items()},
    "faults": faults,
    "pipeline": pipeline,
}


def main(names: Sequence[str], results: Path = RESULTS) -> int:
    """Run these parts, or all."""
    is_good = True
    for name in names or PARTS:
        machine = machine_facts()
        with tempfile.TemporaryDirectory() as folder:
            figures, details = PARTS[name](Path(folder))
        _keep(results, name, {"machine": machine, "figures": list(map(asdict, figures)), **details})
        print(f"{name}:")
        for figure in figures:
            verdict = "" if figure.is_met else "   MISSED"
            print(f"  {figure.name}: {figure.value:g} ({figure.target}){verdict}")
        is_good = is_good and all(figure.is_met for figure in figures)
    return int(not is_good)


def _keep(path: Path, name: str, result: dict[str, Any]) -> None:
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept[name] = result
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_sender", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(PARTS), default=[])
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()
    sys.exit(main(asked.only, asked.json))
