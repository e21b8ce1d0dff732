"""Lanes over worker processes: a deadline, a second try after a crash, no media bytes (main)."""

import errno
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from captionfleet.config import JobConfig
from captionfleet.errors import FailureCode, Stage
from captionfleet.media.orders import Order, Prepared, Refused, Report, StoreTrouble, hold_of
from captionfleet.messages import Clip, Failure, Form, Outcome, ReadyClip
from captionfleet.telemetry import Tally, get_log, monotonic_s
from captionfleet.workers.process import WorkerDied, WorkerProcess
from captionfleet.workers.workspace import Workspace, store_unwritable

__all__ = ["work"]

_TRIES = 2
_FULL = {errno.ENOSPC, errno.EDQUOT}


async def work(  # noqa: PLR0913, PLR0917 - a stage with three streams
    job: JobConfig,
    workspace: Workspace,
    tally: Tally,
    clips_in: MemoryObjectReceiveStream[Clip],
    ready_out: MemoryObjectSendStream[ReadyClip],
    outcomes_out: MemoryObjectSendStream[Outcome],
) -> None:
    """Prepare every clip in one of the job's worker processes; closes the streams it is given.

    The media of a ReadyClip lie in the workspace until they are released there.

    Raises:
        OutputError: the media store cannot be written.
        RunError: no worker process can be started.
    """
    async with clips_in, ready_out, outcomes_out, anyio.create_task_group() as lanes:
        for _ in range(job.workers.processes):
            lane = _Lane(job, workspace, tally)
            lanes.start_soon(lane.run, clips_in.clone(), ready_out.clone(), outcomes_out.clone())


def ready_clip(order: Order, prepared: Prepared, prepare_s: float) -> ReadyClip:
    """The clip of an order with its media, in all the forms that were ordered."""
    forms = [order.spec.form, *order.others]
    made = [prepared, *prepared.others]
    first, *others = (
        _in_form(order, place, form, one, prepare_s)
        for place, (form, one) in enumerate(zip(forms, made, strict=True))
    )
    return replace(first, others=tuple(others))


def _answers(order: Order, report: Report) -> bool:
    """Whether media, if there are any, are there in each form; a hostile worker may omit some."""
    result = report.result
    return not isinstance(result, Prepared) or len(result.others) == len(order.others)


def _in_form(
    order: Order, place: int, form: Form, prepared: Prepared, prepare_s: float
) -> ReadyClip:
    hold = Path(hold_of(order.hold, place))
    return ReadyClip(
        order.clip,
        hold.with_suffix(form.video_ending),
        hold.with_suffix(form.audio_ending) if prepared.facts.has_audio else None,
        prepared.facts,
        prepare_s,
        monotonic_s(),
        media_key=prepared.key,
        decode_s=prepared.decode_s,
        encode_s=prepared.encode_s,
        video_mtime_ns=prepared.video_mtime_ns,
        audio_mtime_ns=prepared.audio_mtime_ns,
        form=form,
    )


class _Lane:
    """One clip at a time through one worker process."""

    def __init__(self, job: JobConfig, workspace: Workspace, tally: Tally) -> None:
        self._limits = job.workers
        self._workspace = workspace
        self._tally = tally
        self._spec, *others = (job.media.spec(form) for form in job.forms)
        self._others = tuple(spec.form for spec in others)
        self._worker = WorkerProcess(confine=job.workers.confine)

    async def run(
        self,
        clips_in: MemoryObjectReceiveStream[Clip],
        ready_out: MemoryObjectSendStream[ReadyClip],
        outcomes_out: MemoryObjectSendStream[Outcome],
    ) -> None:
        async with clips_in, ready_out, outcomes_out, self._worker:
            async for clip in clips_in:
                result = await self._prepare(clip)
                if isinstance(result, Failure):
                    self._workspace.release(clip.clip_id)
                    await outcomes_out.send(result)
                else:
                    self._tally.prepared += 1
                    await ready_out.send(result)

    async def _prepare(self, clip: Clip) -> ReadyClip | Failure:
        order = self._order(clip)
        async with self._counted():
            report = await self._report(clip, order)
        if isinstance(report, Failure):
            return report
        if isinstance(report.result, Prepared):
            return self._ready(order, report.result, report.prepare_s)
        assert isinstance(report.result, Refused)  # noqa: S101 - trouble has been dealt with
        return Failure(clip, Stage.WORKERS, report.result.code, report.result.detail)

    def _order(self, clip: Clip) -> Order:
        limits = self._limits
        return Order(
            clip,
            self._spec,
            str(self._workspace.store),
            str(self._workspace.hold(clip.clip_id, 1 + len(self._others))),
            math.ceil(limits.clip_timeout_s),
            limits.memory_bytes,
            self._others,
        )

    def _ready(self, order: Order, prepared: Prepared, prepare_s: float) -> ReadyClip:
        ready = ready_clip(order, prepared, prepare_s)
        for made, one in zip((prepared, *prepared.others), (ready, *ready.others), strict=True):
            if not made.from_store:
                self._workspace.grow(one.facts.video_bytes + one.facts.audio_bytes)
        return ready

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        started_s = monotonic_s()
        self._tally.preparing += 1
        try:
            yield
        finally:
            self._tally.preparing -= 1
            self._tally.workers_busy_s += monotonic_s() - started_s

    async def _report(self, clip: Clip, order: Order) -> Report | Failure:
        """Have one clip prepared, evicting for it on a full disk."""
        while True:
            report = await self._in_worker(clip, order)
            if isinstance(report, Failure) or not isinstance(report.result, StoreTrouble):
                return report
            trouble = report.result
            if trouble.errno not in _FULL or not await self._workspace.make_room():
                raise store_unwritable(self._workspace.store, trouble.reason)

    async def _in_worker(self, clip: Clip, order: Order) -> Report | Failure:
        """Run one clip; a crash is tried again once, in case the process died of something else."""
        how: list[str] = []
        while len(how) < _TRIES:
            try:
                with anyio.fail_after(self._limits.clip_timeout_s):
                    report = await self._worker.work_on(order)
                if not _answers(order, report):
                    await self._worker.kill()
                    raise WorkerDied(None)  # noqa: TRY301 - handled as if it had said nothing
            except TimeoutError:
                return self._too_slow(clip, "not prepared within {:g} s")
            except WorkerDied as death:
                if death.is_out_of_cpu_time:
                    return self._too_slow(clip, "not prepared within {:g} s of CPU")
                how.append(death.how)
                get_log().warning("worker process died", clip=clip.clip_id, how=death.how)
            else:
                self._tally.confinement = report.confinement
                if self._is_worn(report):
                    await self._worker.retire()
                return report
        detail = f"the worker process {how[0]}, and a second one {how[1]}"
        return Failure(clip, Stage.WORKERS, FailureCode.WORKER_CRASHED, detail)

    def _too_slow(self, clip: Clip, detail: str) -> Failure:
        detail = detail.format(self._limits.clip_timeout_s)
        return Failure(clip, Stage.WORKERS, FailureCode.PREPARE_TIMEOUT, detail)

    def _is_worn(self, report: Report) -> bool:
        limits = self._limits
        return report.clips_done >= limits.recycle_clips or report.rss_bytes > limits.recycle_bytes
