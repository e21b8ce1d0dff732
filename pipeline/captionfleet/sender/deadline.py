"""A deadline that does not count the time for which this process was stopped (main process)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from captionfleet.telemetry.awake import sleep_awake

__all__ = ["answered_within"]


@asynccontextmanager
async def answered_within(seconds: float) -> AsyncIterator[None]:
    """End the block after `seconds`, or somewhat later if the process was stopped meanwhile.

    Raises:
        TimeoutError: the block took longer.
    """
    problem: Exception | None = None
    scope = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end, scope, seconds)
        try:
            with scope:
                yield
        except Exception as error:  # noqa: BLE001 - raised below, where no group wraps it
            problem = error
        tasks.cancel_scope.cancel()
    if problem is not None:
        raise problem
    if scope.cancelled_caught:
        raise TimeoutError


async def _end(scope: anyio.CancelScope, seconds: float) -> None:
    await sleep_awake(seconds)
    scope.cancel()
