"""Runs the sender stage over clips, as a run does."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import anyio

from captionfleet.config import JobConfig
from captionfleet.messages import Caption, Failure, Outcome, ReadyClip
from captionfleet.sender.dispatch import send
from captionfleet.sender.fleet import SenderTuning, open_fleet
from captionfleet.sender.routing.replicas import Change, ProbeWait, ReplicaTuning
from captionfleet.sender.routing.retry import Backoff
from captionfleet.telemetry import Tally

_DOWN = (Change.EJECTED, Change.REFUSING, Change.SATURATED, Change.SCALING_UP)
# Back off for milliseconds and probe after a twentieth of a second; the real times are tested
# where nothing waits for them, and on a simulated clock.
QUICK = SenderTuning(
    sure_s=0.3,
    look_every_s=0.05,
    backoff=Backoff(base_s=0.01),
    replicas=ReplicaTuning(
        new_s=0.1, known_s=0.5, probe_waits=dict.fromkeys(_DOWN, ProbeWait(0.05, 1.2, 0.2))
    ),
)


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of it, in the order of completion."""

    outcomes: list[Outcome]
    report: list[dict[str, Any]]
    tally: Tally

    @property
    def caption(self) -> Caption:
        """The only outcome, which is a caption."""
        (outcome,) = self.outcomes
        assert isinstance(outcome, Caption), outcome
        return outcome

    @property
    def failure(self) -> Failure:
        """The only outcome, which is a failure."""
        (outcome,) = self.outcomes
        assert isinstance(outcome, Failure), outcome
        return outcome


async def sent(
    job: JobConfig,
    clips: Iterable[ReadyClip],
    *,
    check: bool = False,
    tally: Tally | None = None,
    tuning: SenderTuning = QUICK,
    within_s: float = 60,
) -> Sent:
    """Send the clips; the stage ends by itself when they are through."""
    tally = tally or Tally()
    clips = list(clips)
    ready_out, ready_in = anyio.create_memory_object_stream[ReadyClip](len(clips))
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome](len(clips))
    with anyio.fail_after(within_s), ready_out, ready_in, outcomes_out, outcomes_in:
        for clip in clips:
            ready_out.send_nowait(clip)
        ready_out.close()
        async with open_fleet(job, tally, tuning) as fleet:
            if check:
                await fleet.check()
            await send(job, fleet, ready_in, outcomes_out, tally)
            outcomes = [outcome async for outcome in outcomes_in]
            assert tally.in_flight == 0
            assert all(r.in_flight == 0 for r in fleet.router.replicas.values())
            return Sent(outcomes, fleet.report(), tally)
