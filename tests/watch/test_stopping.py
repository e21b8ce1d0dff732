"""The deadline of a run goes by the clock on the wall, and that clock may jump."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio
import pytest

from captionfleet.config import LimitsConfig
from captionfleet.telemetry import Tally
from captionfleet.watch.stopping import Stopping

pytestmark = pytest.mark.anyio

EVENING = datetime(2026, 11, 22, 22, 0)  # noqa: DTZ001 - local time, as the deadline is


@dataclass(slots=True)
class WallClock:
    """A clock that shows what it is told to, and counts how often it was looked at."""

    shown: datetime = EVENING
    looks: int = 0

    def now(self) -> datetime:
        """What it shows."""
        self.looks += 1
        return self.shown

    async def looked_at(self, times: int) -> None:
        """Wait until it was looked at so often again."""
        wanted = self.looks + times
        with anyio.fail_after(60):
            while self.looks < wanted:  # noqa: ASYNC110 - the program looks when it likes
                await anyio.sleep(0.001)


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


def stopping_by(clock: WallClock) -> Stopping:
    """What ends a run at six by this clock."""
    limits = LimitsConfig(deadline="06:00")
    return Stopping(limits, Tally(), now=clock.now, look_at_clock_s=0.002)


async def test_clock_that_jumps_forward(clock: WallClock) -> None:
    """A clock that is put past the deadline ends the run, however little time has passed."""
    stopping = stopping_by(clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stopping.watch)
        await clock.looked_at(3)
        assert not stopping.is_stopping
        clock.shown = EVENING + timedelta(hours=8, seconds=1)
        await clock.looked_at(1)
        tasks.cancel_scope.cancel()
    assert stopping.limit == "deadline"


async def test_clock_that_jumps_back(clock: WallClock) -> None:
    """A clock that is put back before the deadline gives the run the hours until it comes."""
    clock.shown = EVENING + timedelta(hours=7, minutes=59)
    stopping = stopping_by(clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stopping.watch)
        await clock.looked_at(1)
        clock.shown = EVENING
        await clock.looked_at(5)
        assert not stopping.is_stopping
        clock.shown = EVENING + timedelta(hours=8)
        await clock.looked_at(1)
        tasks.cancel_scope.cancel()
    assert stopping.exit_code == 5
