"""Waits that do not count what came while this process was stopped as late (main process)."""

import anyio

__all__ = ["sleep_awake"]

_LATE_S = 1.0  # by which a timer is late only where the process, or its loop, stood still
_READING_S = 5.0


async def sleep_awake(seconds: float) -> None:
    """Sleep; if the process was stopped when the time came, some seconds longer.

    What came while it was stopped (SIGSTOP, Ctrl-Z, a frozen container) lies in the sockets and
    is read meanwhile. A plain deadline would end the reader first.
    """
    end_s = anyio.current_time() + seconds
    await anyio.sleep(seconds)
    if anyio.current_time() - end_s > _LATE_S:
        await anyio.sleep(_READING_S)
