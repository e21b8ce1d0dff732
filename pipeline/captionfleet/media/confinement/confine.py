"""Confines a worker process, and makes it end with the main process (worker process).

A worker decodes untrusted bytes. Before it reads the first of them, it gives up every right that
decoding does not need, and cannot regain it.
"""

import ctypes
import importlib.util
import os
import resource
import signal
import sys
import sysconfig
from contextlib import suppress
from functools import cache

from captionfleet.media.confinement import landlock
from captionfleet.media.confinement.landlock import Files
from captionfleet.media.confinement.syscall_filter import program_for
from captionfleet.media.orders import Held

__all__ = [
    "bound",
    "confine",
    "die_first",
    "die_with",
    "ignore_signals",
    "limit_cpu",
    "rss_bytes",
]

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_SECCOMP_MODE_FILTER = 2
_OOM_SCORE_ADDED = 500
_MOST_OOM_SCORE = 1000
_MOST_OPEN_FILES = 64  # at most twenty are open
_LIBRARIES = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/gnu/store",
    "/etc/ld.so.cache", "/sys/devices/system/cpu", "/dev/urandom",
)  # fmt: skip


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the main process ends in any way."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the main process had already ended
        os._exit(1)


def die_first() -> None:
    """Have the kernel kill a worker first when memory runs out; its clip is then tried again.

    Adds half of all memory to the kernel's score of this process, on top of its initial score. So
    it is the first of this run, but not of the machine if the run itself was given a lower score.
    """
    with suppress(OSError, ValueError), open("/proc/self/oom_score_adj", "r+b", 0) as file:  # noqa: PTH123 - a light worker
        score = min(_MOST_OOM_SCORE, int(file.read()) + _OOM_SCORE_ADDED)
        file.write(str(score).encode())


def ignore_signals() -> None:
    """Ignore signals that go to the whole job: the main process handles them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def limit_cpu(cpu_s: int) -> None:
    """Grant the next clip its CPU time, after which the kernel kills the process.

    A soft limit, since it is raised from clip to clip; the main process has its own deadline.
    """
    times = os.times()
    wanted = int(times.user + times.system) + 1 + cpu_s
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (wanted, hard))


def _bound(kind: int, wanted: int) -> None:
    _, hard = resource.getrlimit(kind)
    bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (bound, bound))


def bound(memory_bytes: int) -> None:
    """Limit memory and open files for the life of this process, and write no core file."""
    _bound(resource.RLIMIT_AS, memory_bytes)
    _bound(resource.RLIMIT_NOFILE, _MOST_OPEN_FILES)
    _bound(resource.RLIMIT_CORE, 0)  # a core file of each crash would fill the disk


def confine(write: tuple[str, ...]) -> Held:
    """Give up all files but libraries and the paths in `write`, all sockets, and other processes.

    A restriction that the kernel lacks is skipped; returns those in force. Must be called from the
    only thread, and after `bound`, as limits cannot be changed afterwards.
    """
    rss_bytes()  # opens its file
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1) != 0:
        return "none"
    version = landlock.abi()
    files = Files((*_LIBRARIES, *_code()), (*write, os.devnull))
    has_landlock = version > 0 and landlock.restrict(files, version)
    has_seccomp = _filter_calls()
    if has_landlock:
        return "landlock+seccomp" if has_seccomp else "landlock"
    return "seccomp" if has_seccomp else "none"


def _code() -> set[str]:
    """The folders of Python and of the packages that a worker imports."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    for package in ("captionfleet", "av", "orjson"):
        spec = importlib.util.find_spec(package)
        found = list(spec.submodule_search_locations or ()) if spec else []
        paths.update(found)
        # A wheel's shared libraries are in a folder beside the package.
        paths.update(f"{path}.libs" for path in found)
    prefixes = {sys.base_prefix, sys.prefix} - {"/", "/usr"}
    return paths | {os.path.join(prefix, "lib") for prefix in prefixes}  # noqa: PTH118 - a light worker


def _filter_calls() -> bool:
    program = program_for(os.uname().machine, os.getpid())
    if program is None:
        return False
    kept = ctypes.create_string_buffer(program, len(program))

    class Filter(ctypes.Structure):
        _fields_ = (("lines", ctypes.c_ushort), ("program", ctypes.c_void_p))

    lines = len(program) // 8
    handed = Filter(lines, ctypes.cast(kept, ctypes.c_void_p))
    return _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(handed)) == 0


def _prctl(option: int, *arguments: int) -> int:
    filled = [ctypes.c_ulong(one) for one in (*arguments, 0, 0, 0, 0)[:4]]
    result: int = ctypes.CDLL(None).prctl(option, *filled)
    return result


def rss_bytes() -> int:
    """The resident memory of this process."""
    return int(os.pread(_statm(), 200, 0).split()[1]) * resource.getpagesize()


@cache
def _statm() -> int:
    return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
