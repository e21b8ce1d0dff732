"""Keeps other processes of the same user out of the memory that holds the keys (main process)."""

import ctypes

__all__ = ["keep_memory_private"]

_PR_SET_DUMPABLE = 4  # prctl(2)


def keep_memory_private() -> None:
    """Let no process of the same user attach to this one or read its environment.

    Root still may, with a debugger or py-spy; no core file is written. Programs that are started
    from here are as open as ever.
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
