"""Opens files by descriptors that the main process hands to a worker (both processes).

A confined worker can open only its own files, so the main process opens the files of an order. A
file that was not handed over is opened by its name.
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

# A clip is read once, and a second time if the plan of its frames breaks. Both readings are open
# together, so each needs a file position of its own; each may have to restart at the beginning of
# the file, where seeking finds no entry, and each may first look for the sound.
OPENINGS = 8

Handed = Mapping[str, list[int] | int]
"""By path: the descriptors of a file, or the errno with which it could not be opened."""

_handed: dict[str, list[int] | int] = {}
_readers: dict[str, RangeReader] = {}


def open_for(paths: Sequence[str], *, follow_links: bool) -> dict[str, list[int] | int]:
    """Open the files that an order names, to be handed over. Blocks.

    Sources may be symbolic links; prepared media may not.
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
    # Opening a device may have effects, opening a FIFO may wait: check first, and never wait.
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - the name may be no text
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def close_all(files: Handed) -> None:
    """Close those of the files that are open."""
    for descriptors in files.values():
        if isinstance(descriptors, list):
            _close(descriptors)


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


@contextmanager
def handed_over(files: Handed) -> Iterator[None]:
    """Make these descriptors available by path during the block; close the unused ones."""
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
    """The one reader of an object, shared by all openings; its socket was handed over.

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
