"""Runs a job: four stages, connected by three bounded streams, in one task group (main process)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import anyio.to_thread
from anyio import create_memory_object_stream, create_task_group
from anyio.abc import AsyncResource, TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from captionfleet.config import JobConfig
from captionfleet.deployment.lifecycle.lifecycle import Lifecycle, open_lifecycle
from captionfleet.errors import ConfigError, RunError, first_error_of, first_run_error
from captionfleet.ledger.copying.copying import FolderCopy
from captionfleet.ledger.copying.opening import open_copy
from captionfleet.ledger.folder import Ledger, open_ledger
from captionfleet.ledger.settled import Settled
from captionfleet.messages import Clip, Note, Outcome, ReadyClip
from captionfleet.producer import Films, check_apart, check_sources, count_ahead, produce
from captionfleet.producer.admission import admit, fingerprints, row_fingerprints
from captionfleet.sender import Fleet, open_fleet, send
from captionfleet.sink import RunStatistics, RunSummary, drain, summarise, writing_rest
from captionfleet.sink.drain import OnOutcome
from captionfleet.sink.media_tokens import media_tokens_of
from captionfleet.sink.summary import Ended, Ending
from captionfleet.system.machine import machine_errors
from captionfleet.telemetry import Progress, Tally, show_progress, utc_now
from captionfleet.watch.descriptors import within_descriptors
from captionfleet.watch.metrics import Metrics, open_metrics
from captionfleet.watch.signals import open_signals
from captionfleet.watch.stopping import Stopping
from captionfleet.watch.timeline import LOOK_EVERY_S, Reading, Timeline
from captionfleet.workers.cluster.cluster import Cluster, open_cluster
from captionfleet.workers.headers import open_measuring
from captionfleet.workers.pool import work
from captionfleet.workers.workspace import Workspace, open_workspace

__all__ = ["run_job"]

_CLIPS_AHEAD = 64
_READY_AHEAD = 16
_OUTCOMES_AHEAD = 64


async def run_job(
    job: JobConfig,
    *,
    progress: Progress = None,
    handle_signals: bool = False,
    on_outcome: OnOutcome | None = None,
) -> RunSummary:
    """Caption every clip of the job that has no caption yet.

    Args:
        job: the job; it needs at least one source and one deployment.
        progress: the stream for the progress line, "log" for the structured log, or None.
        handle_signals: let SIGINT, SIGTERM, and SIGHUP unless nohup has it ignored, end the run
            in order (main thread only): the first starts nothing new, the second stops at once.
        on_outcome: called with every `Caption` and `Failure` once its line is written, and awaited;
            an exception from it ends the run at once.

    Raises:
        RunError: the run cannot begin or continue. Captions so far are kept; run.json, and the
            error's note if the run had begun, have the counts.
    """
    if not job.deployments:
        raise ConfigError("deployments: name at least one (--base-url URL --model NAME)")
    await anyio.to_thread.run_sync(check_sources, job.input)
    await anyio.to_thread.run_sync(check_apart, job)
    copy = await open_copy(job.output)
    tally = Tally("captions" if job.has_names else "clips")
    async with (
        open_cluster(within_descriptors(job), tally) as (job, cluster),  # noqa: PLR1704 - settled
        open_metrics(job.metrics, tally) as metrics,
        open_fleet(job, tally) as fleet,
        open_ledger(job.output, fingerprints(job), row_fingerprints(job)) as ledger,
    ):
        stopping = Stopping(job.limits, tally)
        async with open_signals(stopping.on_signal, handle=handle_signals) as signals:
            settled = await admit(job, ledger, lambda: stopping.is_stopping)
            async with open_lifecycle(job, tally, signals) as lifecycle:
                run = _Run(job, tally, fleet, ledger, settled, stopping, lifecycle, metrics)
                run.cluster, run.copy, run.on_outcome = cluster, copy, on_outcome
                async with show_progress(tally, progress):
                    problem = await run.flow(is_shown=progress is not None)
            summary, problem = await run.conclude(problem or lifecycle.problem)
        if problem is not None:
            problem.add_note(summary.mail_line())
            raise problem
    return summary


@dataclass(slots=True)
class _Run:
    job: JobConfig
    tally: Tally
    fleet: Fleet
    ledger: Ledger
    settled: Settled
    stopping: Stopping
    lifecycle: Lifecycle
    metrics: Metrics | None
    cluster: Cluster | None = None
    copy: FolderCopy | None = None
    on_outcome: OnOutcome | None = None
    statistics: RunStatistics = field(init=False)
    started_at_utc: str = field(default_factory=utc_now)
    timeline: Timeline = field(init=False)

    def __post_init__(self) -> None:
        observe = self.metrics.watch(self.fleet.router) if self.metrics else None
        self.statistics = RunStatistics(
            media_tokens_of(self.job), observe, self.settled.failed_before
        )
        self.timeline = Timeline(len(self.job.deployments))

    async def flow(self, *, is_shown: bool) -> RunError | None:
        """Run the stages to their end; return the error that ended them early, if any.

        With `is_shown`, clips are counted ahead of the run, for the progress bar.
        """
        problem: RunError | None = None
        try:
            with machine_errors(), self.stopping.everything:
                async with self._open_films() as films, create_task_group() as watch:
                    watch.start_soon(self.stopping.watch)
                    watch.start_soon(self._keep_looking)
                    if self.copy is not None:
                        watch.start_soon(self.copy.keep)
                    if is_shown:
                        watch.start_soon(count_ahead, self.job, self.settled, self.tally, films)
                    with self.stopping.checking:
                        await self.lifecycle.clear()
                        watch.start_soon(self._attend)
                        await self.fleet.check()
                    if not self.stopping.is_stopping:
                        async with open_workspace(self.job.store) as media:
                            await self._stages(media, films)
                    watch.cancel_scope.cancel()
        except* RunError as group:
            problem = first_run_error(group)
        return self.stopping.problem or problem

    async def _attend(self) -> None:
        with self.stopping.failing():
            await self.lifecycle.attend(self.fleet)

    async def _stages(self, media: Workspace, films: Films) -> None:
        clips_out, clips_in = create_memory_object_stream[Clip](_CLIPS_AHEAD)
        ready_out, ready_in = create_memory_object_stream[ReadyClip](_READY_AHEAD)
        outcomes_out, outcomes_in = create_memory_object_stream[Outcome | Note](_OUTCOMES_AHEAD)
        job, tally, kept = self.job, self.tally, self.stopping.weigh(media.release)
        # Keep a clone of each receiving end open until every stage has ended: otherwise the
        # neighbours of a stage that fails raise BrokenResourceError, which hides the real error.
        with clips_in.clone() as waiting, ready_in.clone() as unsent, outcomes_in.clone() as rest:
            self.stopping.queues = (waiting, unsent)
            self.stopping.halted = self.fleet.halted
            keeping = writing_rest(self.ledger, rest, tally, self.statistics)
            async with keeping, create_task_group() as stages:
                stages.start_soon(self._produce, films, clips_out, outcomes_out.clone())
                stages.start_soon(
                    self._prepare,
                    partial(work, job, media, tally, cluster=self.cluster),
                    clips_in,
                    ready_out,
                    outcomes_out.clone(),
                )
                if self.lifecycle.holds_back:
                    ready_in = self._gated(stages, ready_in)
                hold = self.ledger.held.add
                stages.start_soon(send, job, self.fleet, ready_in, outcomes_out, tally, hold)
                keep = partial(drain, on_outcome=self.on_outcome)
                stages.start_soon(keep, self.ledger, outcomes_in, tally, self.statistics, kept)

    def _gated(
        self, stages: TaskGroup, ready_in: MemoryObjectReceiveStream[ReadyClip]
    ) -> MemoryObjectReceiveStream[ReadyClip]:
        """Hold clips back until a deployment is up; the first clip makes the run start one."""
        gated_out, gated_in = create_memory_object_stream[ReadyClip](0)
        stages.start_soon(self.lifecycle.hold_back, ready_in, gated_out, self.fleet.halted)
        return gated_in

    async def _keep_looking(self) -> None:
        while True:
            self._look()
            self.stopping.look()
            await anyio.sleep(LOOK_EVERY_S)

    def _look(self) -> None:
        replicas = self.fleet.router.replicas
        readings = {name: Reading.of(replica) for name, replica in replicas.items()}
        self.timeline.add(self.tally.elapsed_s(), readings)

    @asynccontextmanager
    async def _open_films(self) -> AsyncIterator[Films]:
        job = self.job
        async with open_measuring(
            job.workers, job.media, scenes_from_s=job.scenes_from_s
        ) as measure:
            yield await Films.of(job, measure, self.ledger.note)

    async def _produce(
        self,
        films: Films,
        clips_out: MemoryObjectSendStream[Clip],
        outcomes_out: MemoryObjectSendStream[Outcome | Note],
    ) -> None:
        with self.stopping.failing(), self.stopping.producing:
            await produce(self.job, self.settled, self.tally, clips_out, outcomes_out, films)

    async def _prepare(
        self, stage: Callable[..., Awaitable[None]], *streams: AsyncResource
    ) -> None:
        with self.stopping.failing():
            await stage(*streams)

    async def conclude(self, problem: RunError | None) -> tuple[RunSummary, RunError | None]:
        """Settle the lines, write run.json and build the run summary.

        An error here also ends the run. If there was an earlier one, that is reported: after a full
        disk, later errors are only its consequences.
        """
        problem = await first_error_of(self._settle, problem)
        summary = self._summary(problem)
        problem = await first_error_of(partial(self._record, summary, problem), problem)
        if self.copy is not None:
            summary = await self._copy(self.copy, summary, problem)
        return summary, problem

    async def _copy(
        self, copy: FolderCopy, summary: RunSummary, problem: RunError | None
    ) -> RunSummary:
        """Copy the folder at the end, and last a run.json that holds the result of the copy."""
        is_hurried = problem is not None or bool(self.stopping.signal_number)
        with self.stopping.copying(self.job.output.copy_end_s, is_hurried=is_hurried):
            await copy.renew()
            if not copy.problem:
                done = replace(summary, copy=copy.as_dict())
                with suppress(RunError):  # the copy is current, and only its run.json is not
                    await self._write_run(done, problem)
                await copy.renew()
        copied = replace(summary, copy=copy.as_dict())
        if copy.problem:
            with suppress(RunError):
                await self._write_run(copied, problem)
        return copied

    async def _settle(self) -> None:
        is_complete = self.tally.planned_total is not None
        is_complete = is_complete and self.tally.planned == self.tally.settled
        await self.ledger.settle(partial(self.settled.keeps_failure, is_complete=is_complete))
        await self.ledger.refile()
        if self.settled.replaces and self.tally.captioned:
            await self.ledger.drop_superseded()

    def _summary(self, problem: RunError | None) -> RunSummary:
        ended = self._ended(problem)
        stopped_with = self.stopping.exit_code if ended in {"limit", "signal"} else None
        ending = Ending(
            ended=ended,
            limit=(self.stopping.limit or "limit") if ended == "limit" else None,
            started_at_utc=self.started_at_utc,
            place_seconds=self.fleet.place_seconds(self.tally.elapsed_s()),
            refusing=self.fleet.refusing(),
            torn_lines_repaired=self.ledger.torn_lines_repaired,
            ignored_lines=self.settled.ignored_lines,
            exit_code=problem.exit_code if problem is not None else stopped_with,
            copy=self.copy.as_dict() if self.copy is not None else {},
        )
        return summarise(self.tally, self.statistics, self.job, ending)

    async def _record(self, summary: RunSummary, problem: RunError | None) -> None:
        self._look()
        await self.ledger.write_timeline(
            {"started_at_utc": self.started_at_utc} | self.timeline.as_dict()
        )
        await self._write_run(summary, problem)

    async def _write_run(self, summary: RunSummary, problem: RunError | None) -> None:
        problem_line = {"error": str(problem)} if problem else {}
        await self.ledger.write_run(
            summary.as_dict()
            | {"fleet": self.fleet.report(), "lifecycle": self.lifecycle.report()}
            | problem_line
        )

    def _ended(self, problem: RunError | None) -> Ended:
        if problem is not None:
            return "error"
        if self.stopping.signal_number:
            return "signal"
        is_left = self.tally.planned > self.tally.settled and self.stopping.limit is not None
        return "limit" if self.tally.planned_total is None or is_left else "complete"
