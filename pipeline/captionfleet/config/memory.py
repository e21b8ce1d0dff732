"""Measures the available memory, and divides it among worker processes (main process)."""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = [
    "ENOUGH_BYTES",
    "MAIN_PROCESS_BYTES",
    "available_bytes",
    "cgroup_limit_bytes",
    "enough_bytes",
    "overcommitment",
    "worker_bytes",
    "workers_that_fit",
]

# With 768 MiB of address space every ordinary clip that was tried was prepared; one of 8192 x 8192
# pixels needs 631 MB.
ENOUGH_BYTES = 768 * 2**20
_USUAL_HEIGHT_PX, _USUAL_S = 360, 60
_ENCODER_PICTURES = 65  # what x264 was seen to take, in pictures: 67 of 1080p, 51 of 2160p
_LOWER_SHARE = 0.64  # of the pixels, in the ladder's first step of height (media.ladder)
# The program itself takes about 150 MB, and each request in flight holds a few blocks of its body.
MAIN_PROCESS_BYTES = 512 * 2**20
_MOST_BYTES = 4 * 2**30
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def enough_bytes(height_px: int, seconds: int) -> int:
    """The address space with which every ordinary clip is prepared.

    A worker holds the pictures of its clip: one for each second, 16:9, in 12 bits for each pixel
    (yuv420p). `ENOUGH_BYTES` covers a minute with a height of 360.
    """
    more_bytes = _pictures_bytes(height_px, seconds) - _pictures_bytes(_USUAL_HEIGHT_PX, _USUAL_S)
    return ENOUGH_BYTES + max(0, more_bytes)


def _pictures_bytes(height_px: int, seconds: int) -> int:
    """All pictures beside the encoder: once, or again and lower if the clip was too large."""
    whole = seconds + _ENCODER_PICTURES
    lowered = seconds + _LOWER_SHARE * whole
    each_bytes = height_px * (height_px * 16 // 9) * 1.5
    return int(max(whole, lowered) * each_bytes)


def workers_that_fit(cores: int, memory_bytes: int, each_bytes: int = ENOUGH_BYTES) -> int:
    """One worker for each core, but no more than have enough memory; at least one."""
    return max(1, min(cores, (memory_bytes - MAIN_PROCESS_BYTES) // each_bytes))


def worker_bytes(workers: int, memory_bytes: int, least_bytes: int = ENOUGH_BYTES) -> int:
    """The address space of one of `workers` processes, so that all fit beside the main process.

    If they cannot all fit, each gets enough for ordinary clips; memory then runs short only if all
    of them have a demanding film at once.
    """
    share = (memory_bytes - MAIN_PROCESS_BYTES) // max(1, workers)
    return max(least_bytes, min(_MOST_BYTES, share))


def overcommitment(
    workers: int, each_bytes: int, memory_bytes: int, ordinary_bytes: int = ENOUGH_BYTES
) -> str | None:
    """Why ordinary clips do not fit into memory with this many workers; None if they do.

    `each_bytes` is the address space of a worker, of which ordinary clips use at most
    `ordinary_bytes`.
    """
    needed_bytes = workers * min(each_bytes, ordinary_bytes) + MAIN_PROCESS_BYTES
    if workers == 1 or needed_bytes <= memory_bytes:
        return None
    needed, there = (f"{one / 2**30:.1f} GiB" for one in (needed_bytes, memory_bytes))
    return f"{workers} workers and the program may need {needed}, and {there} are available"


@cache
def available_bytes() -> int:
    """The memory of the machine, or what the control group of this process may use of it."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = cgroup_limit_bytes()
    return physical if limit is None else min(physical, limit)


def cgroup_limit_bytes(own: Path = _OWN_CGROUPS, root: Path = _CGROUPS) -> int | None:
    """The tightest limit of this process's control group and its parents; None: no limit.

    Reads version 1 (memory.limit_in_bytes) and version 2 (memory.max) of control groups, see
    cgroups(7). Inside a container the path may be the host's, of which only the root is visible.
    """
    with suppress(OSError):
        lines = own.read_text(errors="surrogateescape").splitlines()
        return min((one for line in lines for one in _limits(line, root)), default=None)
    return None


def _limits(line: str, root: Path) -> Iterator[int]:
    number, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    tops: tuple[Path, ...]
    if number == "0" and not controllers:
        tops, name = (root, root / "unified"), "memory.max"
    elif "memory" in controllers.split(","):
        tops, name = (root / "memory",), "memory.limit_in_bytes"
    else:
        return
    for top in tops:
        folder = top / path.strip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(top):
                with suppress(OSError, ValueError):  # "max" is not a number
                    yield int((group / name).read_text())
