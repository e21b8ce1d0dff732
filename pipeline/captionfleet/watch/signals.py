"""SIGINT, SIGTERM and SIGHUP, heard without a gap by those who heed them (main process)."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import TaskStatus

from captionfleet.errors import RunError, first_run_error

__all__ = ["Heed", "Signals", "open_signals"]

Heed = Callable[[signal.Signals], None]


@dataclass(slots=True)
class Signals:
    """Who is told of a signal; a stage of the run that wants it puts itself here."""

    heed: Heed


@asynccontextmanager
async def open_signals(heed: Heed, *, handle: bool) -> AsyncIterator[Signals]:
    """Hear signals while the block runs.

    There is one receiver for all of the block: between two, a signal would do what it does to a
    program that never asked, and deployments would stay on.

    Args:
        heed: who is told first.
        handle: hear signals at all; only the main thread can.

    Raises:
        RunError: the block did.
    """
    signals = Signals(heed)
    if not handle:
        yield signals
        return
    problem: RunError | None = None
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(_hear, signals)
            yield signals
            tasks.cancel_scope.cancel()
    except* RunError as group:
        problem = first_run_error(group)
    if problem is not None:
        raise problem


async def _hear(signals: Signals, *, task_status: TaskStatus[None]) -> None:
    # nohup and its like ignore SIGHUP, so that the run outlives its terminal.
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = (signal.SIGINT, signal.SIGTERM) + (() if is_nohup else (signal.SIGHUP,))
    with anyio.open_signal_receiver(*numbers) as received:
        task_status.started()
        async for number in received:
            signals.heed(number)
