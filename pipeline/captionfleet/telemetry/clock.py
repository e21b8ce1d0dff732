"""Provides the clocks of a run: monotonic for durations, and wall-clock time (main process)."""

import time
from datetime import UTC, datetime

__all__ = ["monotonic_s", "utc_now", "wall_ns"]


def monotonic_s() -> float:
    """Seconds on a clock that never jumps; take all durations from it."""
    return time.perf_counter()


def wall_ns() -> int:
    """Wall-clock time in nanoseconds, to compare with file times; it may jump."""
    return time.time_ns()


def utc_now() -> str:
    """Wall-clock time as ISO 8601 in UTC with milliseconds and a Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
