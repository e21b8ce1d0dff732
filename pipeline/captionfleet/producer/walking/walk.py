"""From the sources to the files in them, sorted, in bounded memory (main process, in threads)."""

import itertools
import math
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from captionfleet.config import InputConfig
from captionfleet.errors import FailureCode
from captionfleet.messages import NO_ROW, Row, Source, printable
from captionfleet.producer.lists.rows import BadRow, Entry
from captionfleet.producer.shards import Shard
from captionfleet.producer.sources import absolute, base_of, entries_of, is_list
from captionfleet.producer.walking.claims import Area, Claims, Order
from captionfleet.producer.walking.paging import sorted_names
from captionfleet.producer.walking.selection import PassedOver, Selection
from captionfleet.producer.windows import Window, asked_window, is_longer
from captionfleet.telemetry import get_log, monotonic_s, wall_ns

__all__ = ["Found", "Unusable", "Walk", "source_of", "unusable"]

_PAGE_NAMES = 65_536
_BATCH_FILES = 256
_BATCH_S = 0.05
_MAX_FRESH = 10_000
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that a source names and that cannot be captioned."""

    source: Source
    code: FailureCode
    detail: str


Found = Source | Unusable


@dataclass(frozen=True, slots=True)
class _Root:
    """The folder that is walked, without links; `prefix` goes before names that `base` is above."""

    real: str
    base: str
    prefix: str
    row: Row = NO_ROW


@dataclass(frozen=True, slots=True)
class _Level:
    """A folder being walked; `rivals` is what earlier areas call it. Paths end in a slash."""

    root: _Root
    path: str
    real: str
    relative: str
    order: Order
    rivals: tuple[str, ...]
    names: Iterator[str]


class Walk:
    """One pass over a job's sources, depth first, each folder's content sorted by name.

    Iterating blocks; `next_batch` does it in a thread. `passed_over` counts what is not taken.
    Memory: `page` names for each folder on the current path, and what Claims remembers.

    A file in a folder that was written to within the last `settle_s` is looked at again by
    `next_batch`, after all others and once so much time has passed: it may be half a copy.
    Rows of lists whose window is longer than `max_seconds` are bad.
    """

    def __init__(
        self,
        config: InputConfig,
        *,
        page: int = _PAGE_NAMES,
        settle_s: float = 0.0,
        max_seconds: float = math.inf,
        is_second: bool = False,
    ) -> None:
        self._warn = get_log().debug if is_second else get_log().warning
        self.passed_over: Counter[str] = Counter()
        self._settle_ns = round(settle_s * _NS)
        self._fresh: list[Source] = []
        self._sources = config.sources
        self._max_seconds = float(max_seconds)
        self._takes_first = config.segments == "first"
        self._follow_symlinks = config.follow_symlinks
        self._page = page
        self._selection = Selection.of(config)
        self._claims = Claims(self._selection)
        self._orders: Iterator[Order] = iter(())
        self._shard = Shard.of(config)
        self._found = (found for found in self._walk() if self._shard.holds(source_of(found)))

    def __iter__(self) -> Iterator[Found]:
        return self._found

    async def next_batch(self) -> list[Found]:
        """The next files, a handful or as many as 50 ms give; empty at the end.

        Raises:
            ConfigError: a list cannot be read.
        """
        batch = await anyio.to_thread.run_sync(self._take, abandon_on_cancel=True)
        if not batch and self._fresh:
            youngest_ns = max(source.mtime_ns for source in self._fresh)
            wait_ns = min(youngest_ns + self._settle_ns - wall_ns(), self._settle_ns)
            await anyio.sleep(max(0, wait_ns) / _NS)
            batch = await anyio.to_thread.run_sync(self._take_fresh, abandon_on_cancel=True)
        return batch

    def _take(self) -> list[Found]:
        batch: list[Found] = []
        until_s = monotonic_s() + _BATCH_S
        for found in itertools.islice(self._found, _BATCH_FILES):
            batch.append(found)
            if monotonic_s() > until_s:
                break
        return batch

    def _take_fresh(self) -> list[Found]:
        fresh = [source for source in self._fresh if self._shard.holds(source)]
        self._fresh = []
        batch: list[Found] = [source for source in fresh if _is_at_rest(source)]
        if len(batch) < len(fresh):
            self.passed_over[PassedOver.STILL_CHANGING] += len(fresh) - len(batch)
        return batch

    def _is_fresh(self, source: Source) -> bool:
        # The clock of a file server may be ahead; a date far in the future is just a wrong date.
        age_ns = abs(wall_ns() - source.mtime_ns) if self._settle_ns else 0
        return age_ns < self._settle_ns

    def _walk(self) -> Iterator[Found]:
        sources = [absolute(source) for source in self._sources]
        for position, source in enumerate(sources):
            if source.is_dir():
                self._claims.add(Area(os.path.realpath(source), "", (position, 0)))
        for position, source in enumerate(sources):
            self._orders = zip(itertools.repeat(position), itertools.count())
            if is_list(source):
                yield from self._list(source)
            else:
                path = os.fspath(source)
                base = path if source.is_dir() else os.fspath(source.parent)
                yield from self._named(path, source.name, _Root(os.path.realpath(path), base, ""))

    def _list(self, source: Path) -> Iterator[Found]:
        base = base_of(source)
        for entry in map(self._checked, entries_of(source)):
            if isinstance(entry, BadRow):
                yield _bad_row(source, entry)
                continue
            path = os.fspath(base / entry.path)
            prefix = entry.path.rstrip("/") + "/"
            root = _Root(os.path.realpath(path), os.fspath(base), prefix, entry.row or NO_ROW)
            yield from self._named(path, entry.path, root)

    def _checked(self, entry: Entry | BadRow) -> Entry | BadRow:
        row = entry.row if isinstance(entry, Entry) else None
        window = asked_window(row, self._max_seconds) if row else None
        if row is None or window is None or not is_longer(window, self._max_seconds):
            return entry
        return BadRow(
            row.number,
            f"row {row.number}: its window of {window.end_s - window.start_s:g} s is longer than "
            f"max_seconds ({self._max_seconds:g} s)",
        )

    def _own_window(self, row: Row) -> Window | None:
        """The window that sets a row apart from the others of its file."""
        window = asked_window(row, self._max_seconds)
        is_first = self._takes_first and window == (0.0, self._max_seconds)
        return None if is_first else window

    def _named(self, path: str, name: str, root: _Root) -> Iterator[Found]:
        order, real = next(self._orders), root.real
        try:
            facts = Path(path).stat()
        except OSError as error:
            if self._claims.name_file(real, root.row.prompt, self._own_window(root.row)):
                yield unusable(Source(path, name, 0, 0, root.base, real, root.row), error)
            return
        if stat.S_ISDIR(facts.st_mode) and (reason := _not_for_folders(root.row)):
            yield _bad_row(Path(path), BadRow(root.row.number, reason))
            return
        if stat.S_ISDIR(facts.st_mode):
            self._claims.add(Area(real, "", order))
            yield from self._tree(self._level(root, path, real, "", order))
            return
        found = self._named_file(_source(path, name, facts, root, real), facts, order)
        if isinstance(found, PassedOver):
            self.passed_over[found] += 1
        else:
            yield found

    def _named_file(
        self, source: Source, facts: os.stat_result, order: Order
    ) -> Found | PassedOver:
        real = source.real_path
        if not stat.S_ISREG(facts.st_mode):
            return PassedOver.NOT_A_FILE
        prompt, window = source.row.prompt, self._own_window(source.row)
        is_plain = not prompt and window is None
        is_taken = is_plain and self._claims.takes(real, before=order)
        if is_taken or not self._claims.name_file(real, prompt, window):
            return PassedOver.DUPLICATE
        if not source.size_bytes:
            return Unusable(source, FailureCode.EMPTY_FILE, "0 bytes")
        if not os.access(source.path, os.R_OK):
            return Unusable(source, FailureCode.SOURCE_UNREADABLE, "Permission denied")
        return source

    def _level(self, root: _Root, path: str, real: str, relative: str, order: Order) -> _Level:
        return _Level(
            root=root,
            path=path.rstrip("/") + "/",
            real=real.rstrip("/") + "/",
            relative=relative and relative + "/",
            order=order,
            rivals=self._claims.reaching(real, before=order),
            names=sorted_names(path, self._page),
        )

    def _tree(self, top: _Level) -> Iterator[Source]:
        levels = [top]
        while levels:
            found = self._next(levels[-1])
            if found is None:
                levels.pop()
            elif isinstance(found, Source):
                if not self._is_fresh(found):
                    yield found
                elif len(self._fresh) < _MAX_FRESH:
                    self._fresh.append(found)
                else:
                    self.passed_over[PassedOver.STILL_CHANGING] += 1
            elif isinstance(found, _Level):
                levels.append(found)
            else:
                self.passed_over[found] += 1

    def _next(self, level: _Level) -> Source | _Level | PassedOver | None:
        try:
            name = next(level.names, None)
        except OSError as error:
            where = printable(level.path)
            self._warn("folder passed over", folder=where, error=error.strerror)
            return PassedOver.UNREADABLE_FOLDER
        return None if name is None else self._look(level, name)

    def _look(self, level: _Level, name: str) -> Source | _Level | PassedOver:
        if name.startswith("."):
            return PassedOver.HIDDEN
        try:
            facts = os.lstat(level.path + name)
        except FileNotFoundError:
            return PassedOver.VANISHED
        except OSError:
            return PassedOver.UNREADABLE
        if stat.S_ISLNK(facts.st_mode):
            return self._link(level, name)
        if stat.S_ISDIR(facts.st_mode):
            return self._folder(level, name, level.real + name, level.order)
        return self._file(level, name, level.real + name, facts)

    def _folder(self, level: _Level, name: str, real: str, order: Order) -> _Level | PassedOver:
        relative = level.relative + name
        reason = self._selection.folder_reason(name, relative)
        return reason or self._level(level.root, level.path + name, real, relative, order)

    def _file(
        self, level: _Level, name: str, real: str, facts: os.stat_result
    ) -> Source | PassedOver:
        if not stat.S_ISREG(facts.st_mode):
            return PassedOver.NOT_A_FILE
        if reason := self._selection.file_reason(name, level.relative + name):
            return reason
        if not facts.st_size:
            return PassedOver.EMPTY
        if self._claims.takes_in(level.rivals, name) or self._claims.was_named(real):
            return PassedOver.DUPLICATE
        relative = level.root.prefix + level.relative + name
        return _source(level.path + name, relative, facts, level.root, real)

    def _link(self, level: _Level, name: str) -> Source | _Level | PassedOver:
        path = Path(level.path + name)
        try:
            facts = path.stat()
        except OSError:
            return PassedOver.BROKEN_SYMLINK
        real = os.path.realpath(path)
        if stat.S_ISDIR(facts.st_mode):
            return self._linked_folder(level, name, real)
        if self._selection.file_reason(name, level.relative + name) is None:
            if not self._follow_symlinks and not real.startswith(level.root.real.rstrip("/") + "/"):
                return PassedOver.SYMLINK_OUTSIDE
            if self._claims.takes(real) or self._claims.was_named(real):
                return PassedOver.ALIAS
        found = self._file(level, name, real, facts)
        if isinstance(found, Source):
            self._claims.name_file(real)
        return found

    def _linked_folder(self, level: _Level, name: str, real: str) -> _Level | PassedOver:
        if not self._follow_symlinks:
            return PassedOver.SYMLINK_FOLDER
        if self._claims.reaching(real):
            # Walked under its own name, before or after; so a link to a parent ends here too.
            return PassedOver.ALIAS
        order = next(self._orders)
        below = self._folder(level, name, real, order)
        if isinstance(below, _Level):
            self._claims.add(Area(real, level.relative + name, order))
        return below


def _source(path: str, name: str, facts: os.stat_result, root: _Root, real: str) -> Source:
    return Source(path, name, facts.st_size, facts.st_mtime_ns, root.base, real, root.row)


def _not_for_folders(row: Row) -> str:
    """What a row says that only a film can have; a folder's files have one line each."""
    if row.prompt:
        return f"row {row.number}: a folder can have no prompt"
    has_window = asked_window(row, math.inf) is not None
    return f"row {row.number}: a folder can have no start_s or end_s" if has_window else ""


def _bad_row(source: Path, row: BadRow) -> Unusable:
    """A row that names no clip, as the failure of its own; the row is its only identity."""
    path = os.fspath(source)
    found = Source(path, source.name, -1, row.number, os.fspath(source.parent), path)
    return Unusable(found, FailureCode.BAD_ROW, row.reason)


def source_of(found: Found) -> Source:
    """The file that was found, whether it can be used or not."""
    return found.source if isinstance(found, Unusable) else found


def _is_at_rest(source: Source) -> bool:
    try:
        facts = Path(source.path).stat()
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) == (source.size_bytes, source.mtime_ns)


def unusable(source: Source, error: OSError) -> Unusable:
    """What an error on opening a named file makes of it."""
    is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    code = FailureCode.SOURCE_MISSING if is_missing else FailureCode.SOURCE_UNREADABLE
    return Unusable(source, code, error.strerror or type(error).__name__)
