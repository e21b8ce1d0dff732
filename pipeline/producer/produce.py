"""The first stage: every file a job names becomes clips, and most of them work (main process)."""

from collections import Counter
from collections.abc import Iterator

import anyio.to_thread
from anyio.streams.memory import MemoryObjectSendStream

from pipeline.config import JobConfig
from pipeline.errors import Stage
from pipeline.messages import Clip, Failure, Outcome
from pipeline.producer.content import read_content
from pipeline.producer.elsewhere import keep_failures_elsewhere
from pipeline.producer.plan import plan
from pipeline.producer.resume import Settled
from pipeline.producer.selection import PassedOver
from pipeline.producer.sources import check_sources
from pipeline.producer.walk import Found, Unusable, Walk
from pipeline.telemetry import Tally

__all__ = ["produce"]

_Todo = tuple[Clip, Unusable | None]


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
        walk = Walk(job.input, settle_s=job.input.settle_s)
        choice = _Choice(job, settled, tally)
        while batch := await walk.next_batch():
            for found in batch:
                for clip, problem in await choice.to_do(found):
                    tally.planned += 1  # before it is sent: what never arrives is unfinished
                    if problem is None:
                        await clips_out.send(clip)
                    else:
                        failure = Failure(clip, Stage.PRODUCER, problem.code, problem.detail)
                        await outcomes_out.send(failure)
                    if tally.planned == job.input.limit:
                        return
            tally.passed_over = walk.passed_over + choice.passed_over
        tally.passed_over = walk.passed_over + choice.passed_over
        await keep_failures_elsewhere(job.input, settled)
        tally.planned_total = tally.planned


class _Choice:
    """Which clips of what was found are to be done."""

    def __init__(self, job: JobConfig, settled: Settled, tally: Tally) -> None:
        self.passed_over: Counter[str] = Counter()
        self._job = job
        self._settled = settled
        self._tally = tally
        self._retried = frozenset(job.input.retry_failed)
        self._begun: set[int] = set()

    async def to_do(self, found: Found) -> list[_Todo]:
        """The clips of one file that need a caption, with the problem if there is one.

        Its bytes are read only where its name, size and time do not settle it, so a library that
        was captioned is not read again every night.
        """
        problem = found if isinstance(found, Unusable) else None
        source = found.source if isinstance(found, Unusable) else found
        clips = self._open(plan(source, self._job.media))
        if self._job.input.identity == "stat" or problem or not clips:
            return [(clip, problem) for clip in clips]
        content = await read_content(source, self._job.workers.clip_timeout_s)
        if isinstance(content, Unusable):
            return [(clip, content) for clip in clips]
        return [(clip, None) for clip in self._first(plan(source, self._job.media, content))]

    def _open(self, clips: tuple[Clip, ...]) -> list[Clip]:
        return [clip for clip in clips if not self._is_settled(clip)]

    def _first(self, clips: tuple[Clip, ...]) -> Iterator[Clip]:
        """Those that no file of the same bytes has begun in this run."""
        for clip in self._open(clips):
            identity = int(clip.clip_id, 16)
            if identity in self._begun:
                self.passed_over[PassedOver.DUPLICATE] += 1
            else:
                self._begun.add(identity)
                yield clip

    def _is_settled(self, clip: Clip) -> bool:
        if self._settled.captioned(clip.clip_id):
            self._tally.already_captioned += 1
            return True
        code = self._settled.standing(clip.clip_id)
        if code is None or code in self._retried or "all" in self._retried:
            return False
        self._tally.standing_failures += 1
        self._settled.meet(clip.clip_id)
        return True
