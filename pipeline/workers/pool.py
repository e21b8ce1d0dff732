"""Lanes over worker processes: a deadline, a second try after a crash, no media bytes (main)."""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio import BrokenWorkerProcess, CapacityLimiter, to_process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from pipeline.config import JobConfig
from pipeline.errors import FailureCode, OutputError, Stage, StoreError
from pipeline.messages import Clip, Failure, Outcome, ReadyClip
from pipeline.telemetry import Tally, monotonic_s
from pipeline.workers.entry import Order, Prepared, Refused, work_on

__all__ = ["work"]

_TRIES = 2
_RETIRE_S = 0.05


async def work(
    job: JobConfig,
    tally: Tally,
    clips_in: MemoryObjectReceiveStream[Clip],
    ready_out: MemoryObjectSendStream[ReadyClip],
    outcomes_out: MemoryObjectSendStream[Outcome],
) -> None:
    """Prepare every clip in one of the job's worker processes; closes the streams it is given.

    Raises:
        OutputError: the media store cannot be written.
    """
    limiter = CapacityLimiter(job.workers.processes)
    async with clips_in, ready_out, outcomes_out, anyio.create_task_group() as lanes:
        for _ in range(job.workers.processes):
            lane = _Lane(job, tally, limiter)
            lanes.start_soon(lane.run, clips_in.clone(), ready_out.clone(), outcomes_out.clone())


class _Lane:
    """One clip at a time through one worker process."""

    def __init__(self, job: JobConfig, tally: Tally, limiter: CapacityLimiter) -> None:
        self._job = job
        self._tally = tally
        self._limiter = limiter
        self._spec = job.media.spec()
        self._store = str(job.store.folder())

    async def run(
        self,
        clips_in: MemoryObjectReceiveStream[Clip],
        ready_out: MemoryObjectSendStream[ReadyClip],
        outcomes_out: MemoryObjectSendStream[Outcome],
    ) -> None:
        async with clips_in, ready_out, outcomes_out:
            async for clip in clips_in:
                result = await self._prepare(clip)
                if isinstance(result, Failure):
                    await outcomes_out.send(result)
                else:
                    self._tally.prepared += 1
                    await ready_out.send(result)

    async def _prepare(self, clip: Clip) -> ReadyClip | Failure:
        async with self._counted():
            result = await self._in_worker(clip)
        if isinstance(result, Failure):
            return result
        if result.clips_done >= self._job.workers.recycle_clips:
            await self._retire_worker()
        if isinstance(result, Refused):
            return Failure(clip, Stage.WORKERS, result.code, result.detail)
        return ReadyClip(
            clip, result.video, result.audio, result.facts, result.prepare_s, monotonic_s()
        )

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        started_s = monotonic_s()
        self._tally.preparing += 1
        try:
            yield
        finally:
            self._tally.preparing -= 1
            self._tally.workers_busy_s += monotonic_s() - started_s

    async def _in_worker(self, clip: Clip) -> Prepared | Refused | Failure:
        """Run one clip; a crash is tried again once, in case the process died of something else."""
        timeout_s = self._job.workers.clip_timeout_s
        order = Order(
            clip, self._spec, self._store, math.ceil(timeout_s) + 1, self._job.workers.memory_bytes
        )
        for _ in range(_TRIES):
            try:
                with anyio.fail_after(timeout_s):
                    return await to_process.run_sync(
                        work_on, order, cancellable=True, limiter=self._limiter
                    )
            except TimeoutError:
                detail = f"not prepared within {timeout_s:g} s"
                return Failure(clip, Stage.WORKERS, FailureCode.PREPARE_TIMEOUT, detail)
            except BrokenWorkerProcess:
                continue
            except StoreError as error:
                raise OutputError(
                    f"{self._store}: cannot write the media store: {error} "
                    "(another folder: [store] dir, or --store)"
                ) from None
        return Failure(
            clip, Stage.WORKERS, FailureCode.WORKER_CRASHED, f"{_TRIES} worker processes died"
        )

    async def _retire_worker(self) -> None:
        """Kill the idle worker that was used last, which is the one that has grown old."""
        with anyio.move_on_after(_RETIRE_S):
            await to_process.run_sync(time.sleep, 60, cancellable=True, limiter=self._limiter)
