"""Opens files by a name that others may have put there: no link, no waiting (any process)."""

import errno
import os
import stat

__all__ = ["open_regular"]

# O_NONBLOCK: opening a FIFO must not wait for its other end. O_NOCTTY: nor take a terminal.
_CAREFULLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_regular(path: str | os.PathLike[str], flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
    """Open a regular file and return its descriptor; the last part of the path is no link.

    Raises:
        OSError: as `os.open` does; ELOOP for a link, EINVAL for what is no regular file.
    """
    descriptor = os.open(path, flags | _CAREFULLY, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file")
    return descriptor
