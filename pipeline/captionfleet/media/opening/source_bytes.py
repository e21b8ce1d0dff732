"""Opens the bytes of a source, a file or an object, and detects changes meanwhile (worker)."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.opening.signature import ReadAt
from captionfleet.media.ranges import RangeFile
from captionfleet.media.source_file import descriptor_of, ranges_of
from captionfleet.messages import Source
from captionfleet.messages.address import is_address

__all__ = ["SourceBytes", "not_readable", "opened", "require_unchanged"]

_NO_DESCRIPTOR = -1


class SourceBytes(NamedTuple):
    """The file that libav reads, and a way to read beside it."""

    target: Any
    descriptor: int
    read_at: ReadAt
    size_bytes: int


@contextmanager
def opened(source: Source) -> Iterator[SourceBytes]:
    """Open a source for libav, with a way to read beside it.

    Raises:
        MediaError: the source is not the regular file that was found, or unreadable.
    """
    if is_address(source.path):
        yield _object(source)
        return
    with _descriptor(source) as descriptor:

        def read_at(offset: int, size_bytes: int) -> bytes:
            return os.pread(descriptor, size_bytes, offset)

        yield SourceBytes("fd:", descriptor, read_at, os.fstat(descriptor).st_size)


def _object(source: Source) -> SourceBytes:
    try:
        reader = ranges_of(source)
    except OSError as error:
        raise not_readable(error) from None
    return SourceBytes(RangeFile(reader), _NO_DESCRIPTOR, reader.read_at, reader.size_bytes)


@contextmanager
def _descriptor(source: Source) -> Iterator[int]:
    try:
        _require_same(source, os.stat(source.path))  # noqa: PTH116 - the name may be no text
        descriptor = descriptor_of(source.path)
    except (OSError, ValueError) as error:
        raise not_readable(error) from None
    try:
        _require_same(source, os.fstat(descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


def require_unchanged(source: Source) -> None:
    """Check that the file is still the one that was found.

    For an object there is nothing to check: each part was of the version that was found, or failed.

    Raises:
        MediaError: the file vanished, or its size or change time differs.
    """
    if is_address(source.path):
        _require_all_read(source)
        return
    try:
        _require_same(source, os.stat(source.path))  # noqa: PTH116 - the name may be no text
    except (OSError, ValueError) as error:
        raise not_readable(error) from None


def _require_all_read(source: Source) -> None:
    try:
        failure = ranges_of(source).failure
    except OSError as error:
        raise not_readable(error) from None
    if failure is not None:  # libav may have taken it for the end
        raise failure


def _require_same(source: Source, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise MediaError(FailureCode.SOURCE_UNREADABLE, "not a regular file")
    if (facts.st_size, facts.st_mtime_ns) != (source.size_bytes, source.mtime_ns):
        raise MediaError(FailureCode.SOURCE_CHANGED, "the file changed since it was found")
    if facts.st_size == 0:
        raise MediaError(FailureCode.EMPTY_FILE, "the file has no bytes")


def not_readable(error: OSError | ValueError) -> MediaError:
    """The failure for an error on opening or reading a file."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return MediaError(FailureCode.SOURCE_CHANGED, "the file vanished")
    reason = error.strerror if isinstance(error, OSError) else "no such name can be"
    return MediaError(FailureCode.SOURCE_UNREADABLE, str(reason))
