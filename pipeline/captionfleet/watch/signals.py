"""Receives SIGINT, SIGTERM and SIGHUP without a gap, and calls the handler (main process)."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import TaskStatus

from captionfleet.errors import RunError, first_run_error

__all__ = ["OnSignal", "Signals", "open_signals"]

OnSignal = Callable[[signal.Signals], None]


@dataclass(slots=True)
class Signals:
    """The handler of signals; a stage of the run may replace it."""

    on_signal: OnSignal


@asynccontextmanager
async def open_signals(on_signal: OnSignal, *, handle: bool) -> AsyncIterator[Signals]:
    """Receive signals while the block runs.

    One receiver serves the whole block: between two receivers, a signal would kill the process, and
    deployments would stay on.

    Args:
        on_signal: the first handler.
        handle: whether to receive signals at all; only the main thread can.

    Raises:
        RunError: raised by the block.
    """
    signals = Signals(on_signal)
    if not handle:
        yield signals
        return
    problem: RunError | None = None
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(_receive, signals)
            yield signals
            tasks.cancel_scope.cancel()
    except* RunError as group:
        problem = first_run_error(group)
    if problem is not None:
        raise problem


async def _receive(signals: Signals, *, task_status: TaskStatus[None]) -> None:
    # nohup and similar tools ignore SIGHUP, so that the run outlives its terminal.
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = (signal.SIGINT, signal.SIGTERM) + (() if is_nohup else (signal.SIGHUP,))
    with anyio.open_signal_receiver(*numbers) as received:
        task_status.started()
        async for number in received:
            signals.on_signal(number)
