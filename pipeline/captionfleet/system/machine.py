"""Turns the system's refusal of a thread or a process into an error (main process)."""

import errno
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from captionfleet.errors import MachineError
from captionfleet.messages import printable

__all__ = ["MAY_PASS", "is_thread_refused", "machine_errors", "no_worker"]

_PROCESSES = "raise the limit (`ulimit -u`, or the pids limit of the container or the unit)"
MAY_PASS = frozenset({errno.EAGAIN, errno.ENOMEM})


def is_thread_refused(error: BaseException) -> bool:
    """Whether the system refused to start a thread.

    Python raises a plain RuntimeError from `Thread.start`, with no type of its own.
    """
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    is_start = any(frame.f_code is threading.Thread.start.__code__ for frame in frames)
    return isinstance(error, RuntimeError) and is_start


@contextmanager
def machine_errors() -> Iterator[None]:
    """Turn a refused thread, anywhere in the block, into a MachineError."""
    try:
        yield
    except RuntimeError as error:
        if is_thread_refused(error):
            raise _no_thread() from None
        raise
    except BaseExceptionGroup as group:
        refused, others = group.split(is_thread_refused)
        if refused is None:
            raise
        if others is None:
            raise _no_thread() from None
        raise others.derive([*others.exceptions, _no_thread()]) from None


def no_worker(number: int | None, words: str = "") -> MachineError:
    """The error for a worker process that cannot start, by the errno of the system."""
    program = printable(sys.executable)
    advice = {
        errno.EAGAIN: f"the limit of processes is reached: {_PROCESSES}, or use fewer --workers",
        errno.ENOMEM: "the machine has no memory left: use fewer --workers",
        errno.ENOENT: f"{program} is gone: was the installation moved, or upgraded? run again",
        errno.EMFILE: "too many files are open: raise `ulimit -n`",
    }
    why = words or (os.strerror(number) if number else "")
    words = advice.get(number or 0, f"{program}: {why}" if number else why)
    return MachineError(f"cannot start a worker process: {words}")


def _no_thread() -> MachineError:
    return MachineError(f"cannot start a thread: the limit of processes is reached: {_PROCESSES}")
