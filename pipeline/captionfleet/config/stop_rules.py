"""Decides when a run stops by itself: on time, failures or tokens; pure (main process)."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal

__all__ = ["Limit", "MaxFailures", "StopRules", "next_time", "parse_max_failures", "parse_time"]

Limit = Literal["deadline", "max_hours", "max_failures", "max_tokens_total"]

_MIN_SAMPLE = 20


@dataclass(frozen=True, slots=True)
class MaxFailures:
    """A number of failed clips, or a share of the clips tried; one of the two is set."""

    count: int | None = None
    share: float | None = None

    def reached(self, captioned: int, failed: int) -> bool:
        """Whether the run stops at these counts.

        A share applies from 20 clips on.
        """
        if self.count is not None:
            return failed >= self.count
        tried = captioned + failed
        return self.share is not None and tried >= _MIN_SAMPLE and failed >= self.share * tried


@dataclass(frozen=True, slots=True)
class StopRules:
    """Limits on what a run has done. Time limits are checked by `watch.stopping`."""

    max_failures: MaxFailures | None = None
    max_tokens_total: int | None = None

    def reached(self, *, captioned: int, failed: int, tokens: int) -> Limit | None:
        """The first limit that these counts reach; None if they reach none."""
        if self.max_failures is not None and self.max_failures.reached(captioned, failed):
            return "max_failures"
        if self.max_tokens_total is not None and tokens >= self.max_tokens_total:
            return "max_tokens_total"
        return None


def parse_max_failures(text: str) -> MaxFailures:
    """Read `50` or `5%`.

    Raises:
        ValueError: it is neither.
    """
    if text.isascii() and text.isdecimal() and int(text) > 0:
        return MaxFailures(count=int(text))
    percent = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", text, re.ASCII)
    if percent and 0 < float(percent[1]) <= 100:  # noqa: PLR2004 - per cent
        return MaxFailures(share=float(percent[1]) / 100)
    raise ValueError("give a number such as 50, or a share such as 5%")


def parse_time(text: str) -> time:
    """Read a time of day such as `06:00` or `06:00:30`.

    Raises:
        ValueError: it is not a time of day.
    """
    clock = re.fullmatch(r"(\d{1,2}):(\d\d)(?::(\d\d))?", text, re.ASCII)
    if clock is None:
        raise ValueError("give a time of day such as 06:00")
    return time(int(clock[1]), int(clock[2]), int(clock[3] or 0))


def next_time(wanted: time, now: datetime) -> datetime:
    """The next moment after `now`, a local time, at which local clocks show this time.

    Compares naive times, so that on the day of a clock change 06:00 is still when clocks show
    06:00.
    """
    today = datetime.combine(now.date(), wanted)
    return today if today > now else today + timedelta(days=1)
