"""A deadline that takes no answer for missing because this process was stopped (main process)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

__all__ = ["answered_within"]

_LATE_S = 1.0  # by which a timer is late only where the process, or its loop, stood still
_READING_S = 5.0


@asynccontextmanager
async def answered_within(seconds: float) -> AsyncIterator[None]:
    """End the block after so long; if the process was stopped by then, some seconds later.

    What came while it was stopped (SIGSTOP, Ctrl-Z, a frozen container) lies in the sockets and
    is read first. A plain deadline would pass before.

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
    end_s = anyio.current_time() + seconds
    await anyio.sleep(seconds)
    if anyio.current_time() - end_s > _LATE_S:
        await anyio.sleep(_READING_S)
    scope.cancel()
