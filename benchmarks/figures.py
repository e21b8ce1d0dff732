"""Figures with their targets, and the facts of the machine that they were taken on."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

__all__ = ["Figure", "at_least", "at_most", "machine_facts"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, rounded, and whether it is what it has to be."""

    name: str
    value: float
    target: str
    is_met: bool


def at_least(name: str, value: float, least: float) -> Figure:
    """A figure that must not be lower."""
    return Figure(name, round(value, 4), f"≥ {least:g}", value >= least)


def at_most(name: str, value: float, most: float) -> Figure:
    """A figure that must not be higher."""
    return Figure(name, round(value, 4), f"≤ {most:g}", value <= most)


def machine_facts() -> dict[str, str | int | float]:
    """What figures in seconds depend on."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "aiohttp": version("aiohttp"),
        "av": version("av"),
        "load_before": round(os.getloadavg()[0], 2),
        "measured_at_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
