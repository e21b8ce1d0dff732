"""Yields the outcomes of a run one by one, for Python programs (main process)."""

import asyncio  # noqa: TID251 - a separate task, as another task may close the stream
from collections.abc import AsyncIterator
from contextlib import suppress

from anyio import CancelScope, create_memory_object_stream

from captionfleet.config import JobConfig
from captionfleet.errors import RunError
from captionfleet.messages import Outcome
from captionfleet.run import run_job
from captionfleet.telemetry import Progress

__all__ = ["caption"]


async def caption(job: JobConfig, *, progress: Progress = None) -> AsyncIterator[Outcome]:
    """Caption the job's clips; yield each `Caption` and `Failure` once its line is on disk.

    The run waits while the caller handles an outcome. Leaving the loop ends the run at once;
    `contextlib.aclosing` also waits for its end. Captions so far are kept, and the next run
    continues. Needs asyncio, as `run_job` does.

    Raises:
        RunError: as `run_job`, once all outcomes before the error are yielded.
    """
    outcomes_out, outcomes_in = create_memory_object_stream[Outcome](0)

    async def run() -> None:
        async with outcomes_out:
            await run_job(job, progress=progress, on_outcome=outcomes_out.send)

    task = asyncio.create_task(run())
    # Close the stream last: if it were closed first, the run would end with the error of a send
    # without a receiver instead of being cancelled.
    with outcomes_in:
        try:
            async for outcome in outcomes_in:
                yield outcome
            await task
        finally:
            await _end(task)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel the run and wait until its lines are written.

    A RunError of a run that is left is not raised: the loop that would get it is over.
    """
    task.cancel()
    with CancelScope(shield=True):
        await asyncio.wait([task])
    if not task.cancelled():
        with suppress(RunError):
            task.result()
