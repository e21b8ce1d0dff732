"""Sleeps without counting the time for which this process was stopped (main process)."""

import anyio

__all__ = ["sleep_awake"]

_LATE_S = 1.0  # a timer is this late only if the process or its event loop was stopped
_READING_S = 5.0


async def sleep_awake(seconds: float) -> None:
    """Sleep; some seconds longer if the process was stopped at the end of the time.

    After a stop (SIGSTOP, Ctrl-Z, a frozen container) data waits in the sockets. A plain deadline
    would end the reader before it reads them.
    """
    end_s = anyio.current_time() + seconds
    await anyio.sleep(seconds)
    if anyio.current_time() - end_s > _LATE_S:
        await anyio.sleep(_READING_S)
