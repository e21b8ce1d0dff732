"""Keeps other processes of the same user from reading the keys in this process (main process)."""

import ctypes

__all__ = ["keep_memory_private"]

_PR_SET_DUMPABLE = 4  # prctl(2)


def keep_memory_private() -> None:
    """Let no process of the same user attach to this one or read its environment.

    Root still can, with a debugger or py-spy. No core file is written. Child processes are not
    protected.
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
