"""What a worker process may use, and when it has to die (worker process)."""

import ctypes
import os
import resource
import signal

__all__ = ["die_with", "heed_no_signals", "limit", "rss_bytes"]

_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the main process ends, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it could be asked for
        os._exit(1)


def heed_no_signals() -> None:
    """Leave it to the main process to act on signals that are sent to all of the job."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def limit(memory_bytes: int, cpu_s: int) -> None:
    """Give the next clip its allowance of memory and CPU; past the CPU the kernel kills."""
    _lower(resource.RLIMIT_AS, memory_bytes)
    times = os.times()
    _lower(resource.RLIMIT_CPU, int(times.user + times.system) + 1 + cpu_s)
    _lower(resource.RLIMIT_CORE, 0)  # a core file of each crash would fill the disk


def _lower(kind: int, wanted: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(
        kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
    )


def rss_bytes() -> int:
    """The memory that this process holds at the moment."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - pathlib is not needed for it
        return int(file.read().split()[1]) * resource.getpagesize()
