"""Finds output lines whose film still exists unchanged (main process, in a thread)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

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
_MOST_FOLDERS = 1024  # remembered at once; usually there are a few


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
        self._starts = lru_cache(_MOST_FOLDERS)(_starts)

    def entry(self, at: int, record: dict[str, Any]) -> Entry | None:
        clip, alias = _id(record, "clip_id"), _id(record, "stat_id")
        start_s = number_in(record, "start_s")
        if not clip or start_s is None or number_in(record, "end_s") is None:
            return None
        ids = {clip.hex(), alias.hex()} | {other.hex() for other, _ in self._index.same(clip)}
        path, root, state = b"", b"", State.GONE
        for place, base, name in self._places(clip, record):
            seen = _state(place, name, ids, record)
            if not path or seen < state:
                path, root, state = place, base, seen
            if seen is State.CURRENT:
                break
        if alias and state is State.CHANGED:
            state = State.UNSURE
        return Entry(at, clip, alias, text_in(record, "request"), path, root, start_s, state)

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
    except (OSError, ValueError):
        return State.GONE
    is_own = not ids.isdisjoint(ids_of(os.path.realpath(path), name, facts, record))
    return State.CURRENT if is_own else State.CHANGED


def _id(record: dict[str, Any], key: str) -> bytes:
    """An id as 16 bytes; empty if the line has none."""
    try:
        identity = bytes.fromhex(text_in(record, key))
    except ValueError:
        return b""
    return identity if len(identity) == 16 else b""  # noqa: PLR2004 - as clips are named
