"""Parses deadlines and durations as people write them; pure (main process)."""

import math
import re
from datetime import datetime

from captionfleet.errors import ConfigError

__all__ = ["parse_within", "seconds_until"]

_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(min|[smhd])")


def parse_within(text: str) -> float:
    """Seconds of a duration such as 48h, 2d, 90min or 1h30m.

    Raises:
        ConfigError: it is not a duration, or is zero.
    """
    parts = _PART.findall(text.strip().lower())
    is_whole = "".join(number + unit for number, unit in parts) == "".join(text.lower().split())
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts) if is_whole else 0.0
    if not 0 < seconds < math.inf:
        raise ConfigError(f"--within {text}: give hours, days or minutes, as in 48h, 2d or 90min")
    return seconds


def seconds_until(text: str, now: datetime) -> float:
    """Seconds until a date and time, local unless it names its zone.

    Raises:
        ConfigError: it is not a date and time, or is past.
    """
    try:
        time = datetime.fromisoformat(text)
        seconds = (time.astimezone() - now).total_seconds()
    except (ValueError, OverflowError):
        raise ConfigError(f"--by {text}: give a date and a time, as in 2026-11-23T06:00") from None
    if seconds <= 0:
        raise ConfigError(f"--by {text}: that is past")
    return seconds
