"""Opens the files that orders name: by descriptor, in the process that may (both).

The main process opens what an order names and hands the descriptors over, since a confined worker
process can open no file but its own. Where none was handed over, the file is opened by its name.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from captionfleet.media.ranges import RangeReader
from captionfleet.messages import Source
from captionfleet.system.regular_file import open_regular

__all__ = [
    "OPENINGS",
    "Handed",
    "close_all",
    "descriptor_of",
    "handed_over",
    "open_for",
    "ranges_of",
]

# A clip is read once, and once more where the plan of its frames breaks. Both readings are open
# together, so each needs an opening with a file position of its own; each may have to begin again
# at the file's start, where no entry is found by seeking, and each may look for the sound first.
OPENINGS = 8

Handed = Mapping[str, list[int] | int]
"""By path: the descriptors of a file, or the errno with which it could not be opened."""

_handed: dict[str, list[int] | int] = {}
_readers: dict[str, RangeReader] = {}


def open_for(paths: Sequence[str], *, follow_links: bool) -> dict[str, list[int] | int]:
    """Open the files that an order names, to be handed over. Blocks.

    Sources may be links of the user's; prepared media are none.
    """
    open_one = _open if follow_links else open_regular
    return {path: _openings(path, open_one) for path in paths}


def _openings(path: str, open_one: Callable[[str], int]) -> list[int] | int:
    opened: list[int] = []
    try:
        while len(opened) < OPENINGS:
            opened.append(open_one(path))
    except (OSError, ValueError) as error:
        _close(opened)
        return error.errno or errno.EIO if isinstance(error, OSError) else errno.ENOENT
    return opened


def _open(path: str) -> int:
    # Opening a device may move it, opening a FIFO may wait: look first, and never wait.
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - the name may be no text
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def close_all(files: Handed) -> None:
    """Close what is open of them."""
    for descriptors in files.values():
        if isinstance(descriptors, list):
            _close(descriptors)


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


@contextmanager
def handed_over(files: Handed) -> Iterator[None]:
    """Have these files opened by their descriptors meanwhile; those left over are closed."""
    _handed.update(files)
    try:
        yield
    finally:
        close_all(_handed)
        _handed.clear()
        _readers.clear()


def descriptor_of(path: str) -> int:
    """An open descriptor of a file, the caller's to close.

    Raises:
        OSError: it cannot be opened, here or where it was to be handed over from.
        ValueError: no file can have this name.
    """
    handed = _handed.get(path)
    if isinstance(handed, int):
        raise OSError(handed, os.strerror(handed))
    return handed.pop() if handed else _open(path)


def ranges_of(source: Source) -> RangeReader:
    """The one reader of an object for all openings of it; its socket was handed over.

    Raises:
        OSError: none was.
    """
    reader = _readers.get(source.path)
    if reader is None:
        handed = _handed.get(source.path)
        if not isinstance(handed, list) or not handed:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        reader = _readers[source.path] = RangeReader(handed[0], source.size_bytes)
    return reader
