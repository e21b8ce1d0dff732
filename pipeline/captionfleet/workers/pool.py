"""Runs clips through worker processes, with a deadline and one retry after a crash (main)."""

import errno
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from captionfleet.config import JobConfig
from captionfleet.errors import FailureCode, Stage, StoreError
from captionfleet.media.orders import Order, Prepared, Refused, Report, StoreTrouble
from captionfleet.messages import Clip, Failure, Outcome, ReadyClip
from captionfleet.telemetry import Tally, get_log, monotonic_s
from captionfleet.workers.cluster.cluster import Cluster
from captionfleet.workers.cluster.remote_worker import RemoteWorker
from captionfleet.workers.lookahead import Lookahead
from captionfleet.workers.process import WorkerDied, WorkerProcess
from captionfleet.workers.shelf import Shelf
from captionfleet.workers.taking import NotAsReportedError
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
    cluster: Cluster | None = None,
) -> None:
    """Prepare every clip in one of the job's worker processes; closes its streams.

    The media of a ReadyClip are in the workspace until they are released there. The processes run
    on the nodes of `cluster`, or on this machine without one.

    Raises:
        OutputError: the media store cannot be written.
        RunError: no worker process can be started.
    """
    limits = job.workers
    lanes_count = limits.processes_here if cluster is None else limits.processes
    if cluster is None and (words := job.overcommitment):
        get_log().warning("more workers than memory", reason=words, advice="give fewer --workers")
    ahead = Lookahead(limits.ahead_bytes)
    async with clips_in, ready_out, outcomes_out, anyio.create_task_group() as watch:
        if cluster is not None:
            watch.start_soon(cluster.watch)
        async with anyio.create_task_group() as lanes:
            for _ in range(lanes_count):
                lane = _Lane(job, workspace, tally, ahead, cluster)
                streams = clips_in.clone(), ready_out.clone(), outcomes_out.clone()
                lanes.start_soon(lane.run, *streams)
        watch.cancel_scope.cancel()


class _Lane:
    """Takes one clip at a time through one worker process."""

    def __init__(
        self,
        job: JobConfig,
        workspace: Workspace,
        tally: Tally,
        ahead: Lookahead,
        cluster: Cluster | None,
    ) -> None:
        self._limits = job.workers
        self._workspace = workspace
        self._tally = tally
        self._ahead = ahead
        self._specs = [job.media.spec(form) for form in job.forms]
        self._worker: WorkerProcess | RemoteWorker
        # A node enforces the clip's deadline itself; before that a clip may wait for a free node.
        if cluster is None:
            self._worker = WorkerProcess(confine=job.workers.confine)
            self._try_s = job.workers.clip_timeout_s
        else:
            self._worker, self._try_s = RemoteWorker(cluster, job.workers), math.inf
        self._shelf = Shelf(workspace.store, self._specs)
        self._drafts: Path | None = None

    async def run(
        self,
        clips_in: MemoryObjectReceiveStream[Clip],
        ready_out: MemoryObjectSendStream[ReadyClip],
        outcomes_out: MemoryObjectSendStream[Outcome],
    ) -> None:
        async with clips_in, ready_out, outcomes_out, self._worker:
            async for clip in clips_in:
                await self._ahead.room()
                async with self._counted():
                    result = await self._prepare(clip)
                if isinstance(result, Failure):
                    for failure in result.for_each_request():
                        self._workspace.release(clip.clip_id)
                        await outcomes_out.send(failure)
                else:
                    self._tally.prepare(clip, result.facts)
                    with self._ahead.waiting(_media_bytes(result)):
                        for ready in result.for_each_request():
                            await ready_out.send(ready)

    async def _prepare(self, clip: Clip) -> ReadyClip | Failure:
        uses = len(clip.requests)
        hold = self._workspace.hold(clip.clip_id, len(self._specs), uses=uses)
        try:
            with anyio.fail_after(self._limits.clip_timeout_s):
                found = await self._shelf.find(clip, hold)
        except TimeoutError:
            return self._too_slow(clip, "not looked up within {:g} s")
        return found or await self._make(clip, hold)

    async def _make(self, clip: Clip, hold: Path) -> ReadyClip | Failure:
        """Prepare one clip; on a full disk, evict entries and try again."""
        while True:
            try:
                return await self._in_worker(clip, hold)
            except StoreError as error:
                if error.errno not in _FULL or not await self._workspace.make_room():
                    raise store_unwritable(self._workspace.store, error.reason) from None

    async def _order(self, clip: Clip, hold: Path) -> Order:
        if self._drafts is None or not self._worker.is_started:
            self._drafts = await self._workspace.draft_folder(self._drafts)
        limits = self._limits
        return Order(
            clip,
            self._specs[0],
            str(self._drafts / hold.name),
            math.ceil(limits.clip_timeout_s),
            limits.memory_bytes,
            tuple(spec.form for spec in self._specs[1:]),
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

    async def _in_worker(self, clip: Clip, hold: Path) -> ReadyClip | Failure:
        """Run one clip; retry once after a crash, which may have another cause than the clip."""
        how: list[str] = []
        while len(how) < _TRIES:
            try:
                with anyio.fail_after(self._try_s):
                    return await self._once(await self._order(clip, hold), hold)
            except TimeoutError:
                return self._too_slow(clip, "not prepared within {:g} s")
            except WorkerDied as death:
                if death.is_out_of_cpu_time:
                    return self._too_slow(clip, "not prepared within {:g} s of CPU")
                how.append(death.how)
                get_log().warning("worker process died", clip=clip.clip_id, how=death.how)
            except NotAsReportedError as fault:
                how.append(str(fault))
                get_log().warning("worker process ended", clip=clip.clip_id, why=str(fault))
                await self._worker.kill()
        detail = f"the worker process {how[0]}, and a second one {how[1]}"
        return Failure(clip, Stage.WORKERS, FailureCode.WORKER_CRASHED, detail)

    async def _once(self, order: Order, hold: Path) -> ReadyClip | Failure:
        """Let a worker prepare a clip; its report is untrusted.

        Raises:
            NotAsReportedError: the report is wrong.
            StoreError: the store cannot be written.
            WorkerDied: the worker ended without a report.
        """
        report = await self._worker.work_on(order)
        self._tally.confinement = report.confinement
        result: ReadyClip | Failure
        match report.result:
            case Prepared() as made:
                result = await self._shelf.keep(order, hold, made, report.prepare_s)
                self._workspace.grow(_media_bytes(result))
            case Refused(code, detail):
                result = Failure(order.clip, Stage.WORKERS, code, detail)
            case StoreTrouble():
                await self._shelf.require_room(order)
                raise NotAsReportedError("could not write although there is room")
            case _:
                raise NotAsReportedError("answered another question")
        if self._is_worn(report):
            await self._worker.retire()
        return result

    def _too_slow(self, clip: Clip, detail: str) -> Failure:
        detail = detail.format(self._limits.clip_timeout_s)
        return Failure(clip, Stage.WORKERS, FailureCode.PREPARE_TIMEOUT, detail)

    def _is_worn(self, report: Report) -> bool:
        limits = self._limits
        return report.clips_done >= limits.recycle_clips or report.rss_bytes > limits.recycle_bytes


def _media_bytes(ready: ReadyClip) -> int:
    """The clip's size on disk, in all its forms."""
    return sum(one.facts.video_bytes + one.facts.audio_bytes for one in (ready, *ready.others))
