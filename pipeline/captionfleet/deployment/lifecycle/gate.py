"""Holds clips back until a deployment takes requests (main process)."""

from contextlib import suppress
from typing import TypeVar

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ["let_through"]

_T = TypeVar("_T")


async def let_through(
    clips_in: MemoryObjectReceiveStream[_T],
    clips_out: MemoryObjectSendStream[_T],
    wanted: anyio.Event,
    opened: anyio.Event,
    halted: anyio.Event,
) -> None:
    """Pass clips on, and close both streams at the end.

    By then the receiver may have closed, after an error that ends the run.

    Args:
        clips_in: the clips that are ready to be sent.
        clips_out: the clips that may be sent.
        wanted: set here when the first clip arrives.
        opened: the event that clips wait for.
        halted: ends the wait when no deployment will ever take requests.
    """
    async with clips_in, clips_out:
        with suppress(anyio.BrokenResourceError):
            async for clip in clips_in:
                wanted.set()
                if not opened.is_set():
                    await _first_of(opened, halted)
                await clips_out.send(clip)


async def _first_of(*events: anyio.Event) -> None:
    async with anyio.create_task_group() as tasks:

        async def wait_for(event: anyio.Event) -> None:
            await event.wait()
            tasks.cancel_scope.cancel()

        for event in events:
            tasks.start_soon(wait_for, event)
