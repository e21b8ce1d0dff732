"""Opens files and folders safely where others may have planted links or pipes (any process)."""

import errno
import os
import stat

__all__ = ["make_folder", "open_regular", "require_folder"]

# O_NONBLOCK: opening a FIFO must not wait for its other end. O_NOCTTY: a terminal must not become
# the controlling one.
_CAREFULLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_regular(path: str | os.PathLike[str], flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
    """Open a regular file and return its descriptor; the last part of the path must not be a link.

    Raises:
        OSError: as `os.open` does; ELOOP for a link, EINVAL for anything but a regular file.
    """
    descriptor = os.open(path, flags | _CAREFULLY, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return descriptor


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder, if it does not exist.

    Raises:
        OSError: as `os.mkdir` does; ELOOP if a link is in its place.
    """
    try:
        os.mkdir(path)  # noqa: PTH102 - the name may be no text
    except FileExistsError:
        require_folder(path)


def require_folder(path: str | os.PathLike[str]) -> None:
    """Require a real folder; a link could lead anywhere.

    Raises:
        OSError: ELOOP for a link, ENOTDIR for anything else.
    """
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, f"{os.path.basename(path)} is a link")  # noqa: PTH119
    if not stat.S_ISDIR(mode):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
