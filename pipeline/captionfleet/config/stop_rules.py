"""When a run stops by itself: deadline, hours, failures, tokens; pure (main process)."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal

__all__ = ["Limit", "MaxFailures", "StopRules", "next_time", "parse_max_failures", "parse_time"]

Limit = Literal["deadline", "max_hours", "max_failures", "max_tokens_total"]

_MIN_SAMPLE = 20


@dataclass(frozen=True, slots=True)
class MaxFailures:
    """So many failures, or this share of the clips that were tried: one of the two."""

    count: int | None = None
    share: float | None = None

    def reached(self, captioned: int, failed: int) -> bool:
        """Whether a run with these figures stops; a share needs 20 clips to tell anything."""
        if self.count is not None:
            return failed >= self.count
        tried = captioned + failed
        return self.share is not None and tried >= _MIN_SAMPLE and failed >= self.share * tried


@dataclass(frozen=True, slots=True)
class StopRules:
    """The limits on what a run has done; those on time are watched by whoever has a clock."""

    max_failures: MaxFailures | None = None
    max_tokens_total: int | None = None

    def reached(self, *, captioned: int, failed: int, tokens: int) -> Limit | None:
        """The first limit that these figures reach."""
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
        ValueError: it is none.
    """
    clock = re.fullmatch(r"(\d{1,2}):(\d\d)(?::(\d\d))?", text, re.ASCII)
    if clock is None:
        raise ValueError("give a time of day such as 06:00")
    return time(int(clock[1]), int(clock[2]), int(clock[3] or 0))


def next_time(wanted: time, now: datetime) -> datetime:
    """The next moment at which local clocks show this time, after `now`, which is local time.

    Naive times are compared, for that is what the clock on the wall shows: on the day that
    clocks change, 06:00 is when they show 06:00.
    """
    today = datetime.combine(now.date(), wanted)
    return today if today > now else today + timedelta(days=1)
