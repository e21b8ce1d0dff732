"""Reads the headers of many files, each in a worker process with a deadline (main process)."""

import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Literal

import anyio

from captionfleet.config import MediaConfig, WorkersConfig
from captionfleet.errors import FailureCode, RunError, first_run_error
from captionfleet.media.orders import Header, HeaderOrder, Held, Refused
from captionfleet.messages import Film, Source
from captionfleet.workers.process import WorkerDied, WorkerProcess

__all__ = ["confinement_of", "open_measuring", "read_headers"]

_CPU_S = 10
_DEADLINE_S = 20.0
_LONGEST_S = 86_400.0


async def read_headers(
    sources: Sequence[Source], workers: WorkersConfig, *, max_pixels: int
) -> list[tuple[Source, Header | FailureCode]]:
    """The header of each file, or why there is none, in any order.

    Raises:
        RunError: no worker process can be started.
    """
    found: list[tuple[Source, Header | FailureCode]] = []
    left = iter(sources)

    async def lane(left: Iterator[Source]) -> None:
        async with WorkerProcess(confine=workers.confine) as worker:
            for source in left:
                order = HeaderOrder(source, max_pixels, _CPU_S, workers.memory_bytes)
                found.append((source, await _header(worker, order)))

    problem: RunError | None = None
    try:
        async with anyio.create_task_group() as lanes:
            for _ in range(min(workers.processes_here, len(sources))):
                lanes.start_soon(lane, left)
    except* RunError as group:
        problem = first_run_error(group)
    if problem is not None:
        raise problem
    return found


@asynccontextmanager
async def open_measuring(
    workers: WorkersConfig, media: MediaConfig, *, scenes_from_s: float | None = None
) -> AsyncIterator[Callable[[Source], Awaitable[Film | FailureCode]]]:
    """A function that measures whole films in worker processes.

    Processes start when films come. Transport and program streams, whose clocks may jump, are read
    completely. Films of at least `scenes_from_s` are searched for scenes, with the time that their
    clips may take; then as many run at once as there are workers, otherwise one.
    """
    count = 1 if scenes_from_s is None else workers.processes
    limiter = anyio.CapacityLimiter(count)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        idle = [await enter(WorkerProcess(confine=workers.confine)) for _ in range(count)]

        async def measure(source: Source) -> Film | FailureCode:
            async with limiter:
                worker = idle.pop()
                try:
                    return await _film(worker, source, workers, media, scenes_from_s)
                finally:
                    idle.append(worker)

        yield measure


async def _film(
    worker: WorkerProcess,
    source: Source,
    workers: WorkersConfig,
    media: MediaConfig,
    scenes_from_s: float | None,
) -> Film | FailureCode:
    order = HeaderOrder(source, media.max_pixels, _CPU_S, workers.memory_bytes, "end")
    header = await _header(worker, order)
    if isinstance(header, FailureCode):
        return header
    least_s = math.inf if scenes_from_s is None else scenes_from_s
    if header.may_jump or header.seconds >= least_s:
        clips = max(1.0, header.seconds / media.max_seconds)
        deadline_s = min(workers.clip_timeout_s * clips, _LONGEST_S)
        reading: Literal["scenes", "whole"] = "whole" if scenes_from_s is None else "scenes"
        order = replace(order, reading=reading, cpu_s=math.ceil(deadline_s))
        header = await _header(worker, order, deadline_s)
    if isinstance(header, FailureCode):
        return header
    has_scenes = header.seconds >= least_s
    ends_s = _rising((*header.scene_changes_s, header.seconds)) if has_scenes else ()
    return Film(header.seconds, header.is_joined, ends_s)


def _rising(times_s: Sequence[float]) -> tuple[float, ...]:
    """The times in milliseconds, made strictly increasing, as an untrusted worker reports them."""
    end_s = round(times_s[-1], 3)
    rising = [0.0]
    for time_s in times_s:
        if rising[-1] < round(time_s, 3) <= end_s:
            rising.append(round(time_s, 3))
    return tuple(rising[1:])


async def confinement_of(workers: WorkersConfig) -> Held:
    """The confinement of worker processes on this machine, found by starting one.

    Raises:
        RunError: no worker process can be started.
    """
    nothing = HeaderOrder(Source(os.devnull, "", 0, 0), 1, _CPU_S, workers.memory_bytes)
    async with WorkerProcess(confine=workers.confine) as worker:
        try:
            with anyio.fail_after(_DEADLINE_S):
                return (await worker.work_on(nothing)).confinement
        except (TimeoutError, WorkerDied):
            return "none"


async def _header(
    worker: WorkerProcess, order: HeaderOrder, deadline_s: float = _DEADLINE_S
) -> Header | FailureCode:
    try:
        with anyio.fail_after(deadline_s):
            result = (await worker.work_on(order)).result
    except TimeoutError:
        return FailureCode.PREPARE_TIMEOUT
    except WorkerDied:
        return FailureCode.WORKER_CRASHED
    if isinstance(result, Header):
        return result
    return result.code if isinstance(result, Refused) else FailureCode.UNEXPECTED
