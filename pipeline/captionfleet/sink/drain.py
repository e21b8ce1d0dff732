"""The last stage: writes every outcome as a line, and counts it (main process)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from captionfleet.errors import OutputError
from captionfleet.ledger.folder import Ledger
from captionfleet.messages import Caption, Note, Outcome
from captionfleet.sink.footage import flagged
from captionfleet.sink.stats import RunStatistics
from captionfleet.telemetry import Tally

__all__ = ["OnOutcome", "drain", "writing_rest"]

OnOutcome = Callable[[Outcome], Awaitable[object]]


async def drain(  # noqa: PLR0913, PLR0917 - a stage with a stream
    ledger: Ledger,
    outcomes_in: MemoryObjectReceiveStream[Outcome | Note],
    tally: Tally,
    statistics: RunStatistics,
    kept: Callable[[Outcome], None],
    on_outcome: OnOutcome | None = None,
) -> None:
    """Write every outcome until the stream ends; closes it.

    Calls `kept` with every outcome whose line is written, and then awaits `on_outcome` with it.
    When cancelled, it first writes what is already in the stream, as that is paid for.

    Raises:
        ExceptionGroup: of an OutputError, when a line cannot be written.
    """
    async with outcomes_in, anyio.create_task_group() as tasks:
        tasks.start_soon(ledger.keep_synced)
        try:
            async for outcome in outcomes_in:
                await _keep(outcome, ledger, tally, statistics)
                if not isinstance(outcome, Note):
                    kept(outcome)
                    if on_outcome is not None:
                        await on_outcome(flagged(outcome))
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await _keep_rest(outcomes_in, ledger, tally, statistics)
            raise
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def writing_rest(
    ledger: Ledger,
    outcomes_in: MemoryObjectReceiveStream[Outcome | Note],
    tally: Tally,
    statistics: RunStatistics,
) -> AsyncIterator[None]:
    """Write what no stage writes any more, if the block of all stages fails or is cancelled.

    That is what is still in the stream, and then what the ledger holds: both are paid for. A disk
    that takes no line changes nothing about the end of the block.
    """
    try:
        yield
    except BaseException:
        with anyio.CancelScope(shield=True), suppress(OutputError):
            await _keep_rest(outcomes_in, ledger, tally, statistics)
            for outcome in ledger.held.rest():
                await _keep(outcome, ledger, tally, statistics)
        raise


async def _keep_rest(
    outcomes_in: MemoryObjectReceiveStream[Outcome | Note],
    ledger: Ledger,
    tally: Tally,
    statistics: RunStatistics,
) -> None:
    while True:
        try:
            outcome = outcomes_in.receive_nowait()
        except (anyio.WouldBlock, anyio.EndOfStream):
            return
        await _keep(outcome, ledger, tally, statistics)


async def _keep(
    outcome: Outcome | Note, ledger: Ledger, tally: Tally, statistics: RunStatistics
) -> None:
    if isinstance(outcome, Note):
        await ledger.note(outcome)
        return
    outcome = flagged(outcome)
    await ledger.append(outcome)
    statistics.add(outcome)
    tally.settle(outcome.clip, outcome.facts if isinstance(outcome, Caption) else None)
