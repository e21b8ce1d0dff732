"""Has the headers of many files read, each in a worker process with a deadline (main process)."""

import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio

from captionfleet.config import WorkersConfig
from captionfleet.errors import FailureCode, RunError, first_run_error
from captionfleet.media.orders import Header, HeaderOrder, Held, Refused
from captionfleet.messages import Film, Source
from captionfleet.workers.process import WorkerDied, WorkerProcess

__all__ = ["confinement_of", "open_measuring", "read_headers"]

_CPU_S = 10
_DEADLINE_S = 20.0


async def read_headers(
    sources: Sequence[Source], workers: WorkersConfig, *, max_pixels: int
) -> list[tuple[Source, Header | FailureCode]]:
    """The header of each file, or why there is none, in no certain order.

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
            for _ in range(min(workers.processes, len(sources))):
                lanes.start_soon(lane, left)
    except* RunError as group:
        problem = first_run_error(group)
    if problem is not None:
        raise problem
    return found


@asynccontextmanager
async def open_measuring(
    workers: WorkersConfig, *, max_pixels: int
) -> AsyncIterator[Callable[[Source], Awaitable[Film | FailureCode]]]:
    """A function that has a worker process find out what a whole film is like.

    It takes one film at a time; the process starts with the first. Transport and program streams,
    whose clocks may jump, are read whole for it.
    """
    async with WorkerProcess(confine=workers.confine) as worker:

        async def measure(source: Source) -> Film | FailureCode:
            order = HeaderOrder(source, max_pixels, _CPU_S, workers.memory_bytes, "end")
            header = await _header(worker, order)
            if isinstance(header, Header) and header.may_jump:
                deadline_s = workers.clip_timeout_s
                order = replace(order, reading="whole", cpu_s=math.ceil(deadline_s))
                header = await _header(worker, order, deadline_s)
            if isinstance(header, FailureCode):
                return header
            return Film(header.seconds, header.is_joined)

        yield measure


async def confinement_of(workers: WorkersConfig) -> Held:
    """What a worker process is under on this machine: one is started, and asked for nothing.

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
