"""The first stage: every file a job names becomes clips, and most of them work (main process)."""

from collections import Counter
from collections.abc import Iterator, Sequence

import anyio.to_thread
from anyio.streams.memory import MemoryObjectSendStream

from pipeline.config import JobConfig
from pipeline.errors import Stage
from pipeline.messages import Clip, Failure, Outcome
from pipeline.producer.plan import plan
from pipeline.producer.resume import Settled
from pipeline.producer.sources import check_sources
from pipeline.producer.walk import Found, Unusable, Walk
from pipeline.telemetry import Tally

__all__ = ["produce"]


async def produce(
    job: JobConfig,
    settled: Settled,
    tally: Tally,
    clips_out: MemoryObjectSendStream[Clip],
    outcomes_out: MemoryObjectSendStream[Outcome],
) -> None:
    """Send every clip that needs a caption, and a failure for each that cannot be had.

    Closes both streams. `tally.planned_total` is set only if all sources were walked to the end.

    Raises:
        ConfigError: a source is missing or a list cannot be read.
    """
    async with clips_out, outcomes_out:
        await anyio.to_thread.run_sync(check_sources, job.input)
        walk = Walk(job.input)
        while batch := await walk.next_batch():
            tally.passed_over = Counter(walk.passed_over)
            for clip, problem in _to_do(batch, job, settled, tally):
                tally.planned += 1  # before it is sent: a clip that never arrives is unfinished
                if problem is None:
                    await clips_out.send(clip)
                else:
                    failure = Failure(clip, Stage.PRODUCER, problem.code, problem.detail)
                    await outcomes_out.send(failure)
                if tally.planned == job.input.limit:
                    return
        tally.passed_over = Counter(walk.passed_over)
        tally.planned_total = tally.planned


def _to_do(
    batch: Sequence[Found], job: JobConfig, settled: Settled, tally: Tally
) -> Iterator[tuple[Clip, Unusable | None]]:
    for found in batch:
        problem = found if isinstance(found, Unusable) else None
        source = found.source if isinstance(found, Unusable) else found
        for clip in plan(source, job.media):
            if settled.captioned(clip.clip_id):
                tally.already_captioned += 1
            elif settled.standing(clip.clip_id):
                tally.standing_failures += 1
                settled.meet(clip.clip_id)
            else:
                yield clip, problem
