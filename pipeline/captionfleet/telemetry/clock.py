"""The clocks of a run: one that never jumps for durations, and the wall's (main process)."""

import time
from datetime import UTC, datetime

__all__ = ["monotonic_s", "utc_now", "wall_ns"]


def monotonic_s() -> float:
    """Seconds on a clock that never jumps; all durations are differences of these."""
    return time.perf_counter()


def wall_ns() -> int:
    """The wall clock in nanoseconds, to compare with times of files; it may jump."""
    return time.time_ns()


def utc_now() -> str:
    """The wall clock as ISO 8601 in UTC, milliseconds, with a Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
