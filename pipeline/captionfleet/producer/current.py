"""Finds output lines whose film still exists unchanged (main process, in a thread)."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from captionfleet.errors import ConfigError
from captionfleet.ledger.files.index import Entry, LineIndex, State
from captionfleet.ledger.files.names import CAPTIONS, SAME
from captionfleet.ledger.files.reading import number_in, read_lines, record_at, text_in
from captionfleet.messages import printable
from captionfleet.messages.address import is_address
from captionfleet.names import name_bytes
from captionfleet.producer.identity.clips import ids_of
from captionfleet.producer.sources import past_roots
from captionfleet.telemetry import Steps

__all__ = ["FoundLines", "find_lines"]

_MB = 1e6
_FOLDERS = 1024  # remembered at once; usually there are a few
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
_ID_BYTES = 16  # as clips are named


class FoundLines:
    """The lines of one output file, as they were when the films were looked up.

    Attributes:
        index: the state of each line's film.
        unreadable: lines that name no clip.
    """

    def __init__(self, path: Path, index: LineIndex) -> None:
        self.index = index
        self.unreadable = 0
        self._file = path.open("rb")
        # The open file stays the same even if a run replaces it, so offsets stay valid.
        self.path = Path(f"/proc/self/fd/{self._file.fileno()}")

    def record(self, entry: Entry) -> dict[str, Any]:
        """The record of a line."""
        return record_at(self._file, entry.at)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextmanager
def find_lines(
    folder: Path, name: str = CAPTIONS, steps: Steps | None = None
) -> Iterator[FoundLines]:
    """Read every line of an output file, and look up every film. Blocks.

    Args:
        folder: the output folder.
        name: the file.
        steps: counts lines and films for the progress bar.

    Raises:
        ConfigError: the folder is not an output folder.
    """
    with LineIndex() as index:
        try:
            found = FoundLines(folder / name, index)
        except OSError as error:
            where = printable(os.fspath(folder / name))
            raise ConfigError(f"{where}: {error.strerror}: is this an output folder?") from None
        try:
            _fill(found, folder, steps or Steps())
            yield found
        finally:
            found.close()


def _fill(found: FoundLines, folder: Path, steps: Steps) -> None:
    for line in read_lines(folder / SAME):
        clip, alias = _id(line.record, "clip_id"), _id(line.record, "stat_id")
        if clip and alias:
            found.index.add_same(clip, alias, name_bytes(line.record, "source") or b"")
    look = _Look(found.index, folder)
    steps.begin("looking for the films", found.path.stat().st_size / _MB, "MB")
    looked_at = 0
    for line in read_lines(found.path):
        steps.count((line.offset - looked_at) / _MB)
        looked_at = line.offset
        entry = look.entry(line.offset, line.record)
        if entry is None:
            found.unreadable += 1
        else:
            found.index.add(entry)
    found.index.conclude()


class _Look:
    """Looks up the file of each line, at its path or by its name below a run's sources."""

    def __init__(self, index: LineIndex, folder: Path) -> None:
        self._index = index
        self._roots = [os.fsencode(root) for root in past_roots(folder)]
        self._is_empty_above = lru_cache(_FOLDERS)(_is_empty_above)
        self._starts = lru_cache(_FOLDERS)(_starts)

    def entry(self, at: int, record: dict[str, Any]) -> Entry | None:
        clip, alias = _id(record, "clip_id"), _id(record, "stat_id")
        start_s, end_s = number_in(record, "start_s"), number_in(record, "end_s")
        if not clip or start_s is None or end_s is None:
            return None
        ids = {clip.hex(), alias.hex()} | {other.hex() for other, _ in self._index.same(clip)}
        path, root, state = self._film(clip, record, ids)
        request, place = text_in(record, "request"), _place(path, (start_s, end_s), record)
        return Entry(at, clip, alias, request, path, root, start_s, end_s, place, state)

    def _film(
        self, clip: bytes, record: dict[str, Any], ids: set[str]
    ) -> tuple[bytes, bytes, State]:
        """Path and root of the line's film, and its state.

        The place in the line decides, unless the film is elsewhere: a file of the same name below
        another source, whose disk is mounted, is another film.
        """
        seen: list[tuple[bytes, bytes, State]] = []
        for path, root, name in self._places(clip, record):
            seen.append((path, root, _state(path, name, ids, record)))
            if seen[-1][2] is State.CURRENT:
                return seen[-1]
        if not seen:
            return b"", b"", State.GONE
        changed = [one for one in seen if one[2] is State.CHANGED]
        if changed and _id(record, "stat_id"):
            return seen[0][0], changed[0][1], State.UNSURE  # that folder is there, at least
        path, root, state = seen[0] if name_bytes(record, "path") else [*changed, *seen][0]
        if state is State.GONE and self._is_empty_above(os.path.dirname(path)):  # noqa: PTH120 - bytes
            state = State.UNREACHABLE
        return path, root, state

    def _places(self, clip: bytes, record: dict[str, Any]) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Path, root and name of each place where the file may be, the most likely first.

        The root is the folder whose other films show whether the film's disk is mounted.
        """
        source, path = name_bytes(record, "source") or b"", name_bytes(record, "path")
        own = name_bytes(record, "root") or b""
        if path:
            yield path, self._root(path, own), source
        roots = [own, *self._roots] if own else self._roots
        for name in (source, *(name for _, name in self._index.same(clip))):
            for root in roots if name else ():
                path = os.path.join(root, name)  # noqa: PTH118 - bytes
                yield path, self._root(path, root), name

    def _root(self, path: bytes, root: bytes) -> bytes:
        """The root that a line names, or the film's own folder where it lies outside of that.

        Lists name films of other disks than their own, and so do links.
        """
        place = os.path.normpath(path)
        is_below = bool(root) and place.startswith(self._starts(root))
        return root if is_below else os.path.dirname(place)  # noqa: PTH120 - bytes


def _starts(folder: bytes) -> tuple[bytes, ...]:
    """The starts of paths below a folder, under its name and without links."""
    try:
        names = {folder, os.path.realpath(folder)}
    except ValueError:  # a NUL in the name
        return ()
    return tuple(name.rstrip(b"/") + b"/" for name in names)


def _state(path: bytes, name: bytes, ids: set[str], record: dict[str, Any]) -> State:
    if is_address(os.fsdecode(path)):  # a look-up would cost one request per line
        return State.CURRENT
    try:
        facts = os.stat(path)  # noqa: PTH116 - bytes
    except ValueError:
        return State.GONE
    except OSError as error:
        return State.GONE if error.errno in _NOT_THERE else State.UNREACHABLE
    is_own = not ids.isdisjoint(ids_of(os.path.realpath(path), name, facts, record))
    return State.CURRENT if is_own else State.CHANGED


def _is_empty_above(folder: bytes) -> bool:
    """Whether the innermost folder that exists is empty, as where no disk is mounted."""
    while True:
        try:
            with os.scandir(folder) as entries:
                return next(entries, None) is None
        except (FileNotFoundError, NotADirectoryError):
            parent = os.path.dirname(folder)  # noqa: PTH120 - bytes
            if parent == folder:
                return False
            folder = parent
        except (OSError, ValueError):
            return False


def _place(path: bytes, window: tuple[float, float], record: dict[str, Any]) -> bytes:
    """What a caption is of, without the version of its object; empty for a file of this machine.

    An object that was written again has a new clip, whose line replaces the one before. Addresses
    of web servers, which lack their signature here, may be those of several rows with ids.
    """
    if not is_address(os.fsdecode(path)):
        return b""  # a look at the file says more
    row = text_in(record, "id") if path.startswith(b"http") else ""
    facts = orjson.dumps([*window, text_in(record, "prompt"), row])
    return blake2b(path + b"\0" + facts, digest_size=_ID_BYTES).digest()


def _id(record: dict[str, Any], key: str) -> bytes:
    """An id as 16 bytes; empty if the line has none."""
    try:
        identity = bytes.fromhex(text_in(record, key))
    except ValueError:
        return b""
    return identity if len(identity) == _ID_BYTES else b""
