"""Records the machine on which a bench ran (main process)."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

__all__ = ["machine_facts"]


def machine_facts() -> dict[str, str | int | float]:
    """Processor, usable cores, memory, kernel, load average, and relevant versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "captionfleet": version("captionfleet"),
        "av": version("av"),
        "aiohttp": version("aiohttp"),
    }


def _processor() -> str:
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.machine()
    names = (
        line.partition(":")[2] for line in cpuinfo.splitlines() if line.startswith("model name")
    )
    return next(names, platform.machine()).strip()
