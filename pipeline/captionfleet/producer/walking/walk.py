"""Walks all sources to the files in them, sorted and in bounded memory (main, in threads)."""

import itertools
import math
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import anyio
import anyio.to_thread

from captionfleet.config import InputConfig
from captionfleet.errors import FailureCode
from captionfleet.messages import NO_ROW, Row, Source
from captionfleet.messages.address import Address, is_address, parse_address
from captionfleet.producer.lists.rows import BadRow, Entry, plain_entry
from captionfleet.producer.shards import Shard
from captionfleet.producer.sources import (
    absolute,
    base_of,
    entries_of,
    is_folder,
    is_list,
    is_remote,
    may_have_rows,
)
from captionfleet.producer.walking.claims import Area, Claims, Order
from captionfleet.producer.walking.folders import FolderWalk, Root, source_at
from captionfleet.producer.walking.found import (
    Found,
    Unusable,
    bad_row,
    is_at_rest,
    not_for_folders,
    source_of,
    unusable,
)
from captionfleet.producer.walking.passed_over import PassedOver, Selection
from captionfleet.producer.walking.remote import Buckets, looked_at, version_names
from captionfleet.producer.walking.repeats import says_anything
from captionfleet.producer.windows import Window, asked_window, is_longer
from captionfleet.telemetry import get_log, monotonic_s, wall_ns

__all__ = ["NotCountedError", "Walk"]

_PAGE_NAMES = 65_536
_BATCH_FILES = 256
_BATCH_S = 0.05
_MAX_FRESH = 10_000
_NS = 1_000_000_000


class NotCountedError(Exception):
    """Raised when counting ahead would take as many requests as the run itself."""


class Walk:
    """One pass over a job's sources, depth first, each folder sorted by name.

    Iterating blocks; `next_batch` iterates in a thread. `passed_over` counts files that are not
    taken. Memory: `page` names for each folder on the current path, and that of Claims.

    A file in a folder that changed within the last `settle_s` may be a copy in progress:
    `next_batch` yields it after all others, once that time has passed. Rows of lists whose window
    is longer than `max_seconds` are bad. `check_folder` is called with each folder that is named.
    """

    def __init__(  # noqa: PLR0913 - what a walk depends on, by keyword
        self,
        config: InputConfig,
        *,
        page: int = _PAGE_NAMES,
        settle_s: float = 0.0,
        max_seconds: float = math.inf,
        is_second: bool = False,
        tells_apart: Callable[[Row], str] = attrgetter("id"),
        check_folder: Callable[[Path], None] = lambda _: None,
    ) -> None:
        self.passed_over: Counter[str] = Counter()
        self._settle_ns = round(settle_s * _NS)
        self._fresh: list[Source] = []
        self._sources = config.sources
        self._max_seconds = float(max_seconds)
        self._takes_first = config.segments == "first"
        selection = Selection.of(config)
        self._claims = Claims(selection, tells_apart)
        self._buckets = Buckets(selection, self._claims, filter(is_remote, config.sources))
        self._is_second = is_second
        self._check_folder = check_folder
        self._folders = FolderWalk(
            selection,
            self._claims,
            follow_symlinks=config.follow_symlinks,
            page=page,
            warn=get_log().debug if is_second else get_log().warning,
        )
        self._shard = Shard.of(config)
        self._found = (found for found in self._walk() if self._shard.holds(source_of(found)))

    def __iter__(self) -> Iterator[Found]:
        return self._found

    async def next_batch(self) -> list[Found]:
        """The next files, as many as are found in 50 ms; empty at the end.

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
        batch: list[Found] = [source for source in fresh if is_at_rest(source)]
        if len(batch) < len(fresh):
            self.passed_over[PassedOver.STILL_CHANGING] += len(fresh) - len(batch)
        return batch

    def _is_fresh(self, source: Source) -> bool:
        # A file server's clock may be ahead; a date far in the future is simply wrong.
        age_ns = abs(wall_ns() - source.mtime_ns) if self._settle_ns else 0
        return age_ns < self._settle_ns

    def _walk(self) -> Iterator[Found]:
        # Rows say more of a film than the folder or bucket that it lies in, so they come first.
        sources = sorted(map(absolute, self._sources), key=lambda one: not may_have_rows(one))
        for position, source in enumerate(sources):
            if is_folder(source):
                self._claims.add(Area(os.path.realpath(source), "", (position, 0)))
        for position, source in enumerate(sources):
            self._folders.orders = zip(itertools.repeat(position), itertools.count())
            if is_remote(source):
                yield from self._remote(source)
            elif is_list(source):
                yield from self._list(source)
            else:
                path = os.fspath(source)
                base = path if source.is_dir() else os.fspath(source.parent)
                root = Root(os.path.realpath(path), base, "")
                yield from self._named(source, path, source.name, root)

    def _remote(self, source: Path) -> Iterator[Found]:
        for found in self._buckets.walk(parse_address(os.fspath(source))):
            if isinstance(found, PassedOver):
                self.passed_over[found] += 1
            else:
                yield found

    def _list(self, source: Path) -> Iterator[Found]:
        """The entries of a list in order; adjacent addresses are looked up together."""
        numbered = enumerate(entries_of(source), 1)
        entries = (self._checked(entry, number, source) for number, entry in numbered)
        for is_far, some in itertools.groupby(entries, _is_far):
            if is_far:
                rows = self._far_rows(some)
                yield from self._unnamed(source, looked_at(rows, os.fspath(base_of(source))))
            else:
                yield from self._near(source, some)

    def _far_rows(self, entries: Iterator[Entry | BadRow]) -> Iterator[tuple[Address, Row]]:
        """The addresses that no bucket among the sources covers.

        Raises:
            NotCountedError: this walk only counts, and must not cost a request for each row.
        """
        if self._is_second:
            raise NotCountedError("rows with addresses are not counted ahead")
        for entry in entries:
            assert isinstance(entry, Entry)  # noqa: S101 - bad rows are near
            row, address = entry.row or NO_ROW, parse_address(entry.path)
            is_plain = not row.prompt and self._own_window(row) is None
            if is_plain and not says_anything(row) and self._buckets.takes(address):
                self.passed_over[PassedOver.DUPLICATE] += 1
            else:
                yield address, row

    def _unnamed(self, source: Path, far: Iterator[Found]) -> Iterator[Found]:
        """The objects that no earlier source named; signed addresses must be looked up to know."""
        for found in far:
            row = source_of(found).row
            window, names = self._own_window(row), version_names(source_of(found))
            taken = [one for one in names if not self._claims.name_file(one, row, window)]
            if not taken:
                yield found
            else:
                yield from self._repeated(source, taken[0], row)

    def _near(self, source: Path, entries: Iterator[Entry | BadRow]) -> Iterator[Found]:
        base = base_of(source)
        for entry in entries:
            if isinstance(entry, BadRow):
                yield bad_row(source, entry)
                continue
            path = os.fspath(base / entry.path)
            prefix = entry.path.rstrip("/") + "/"
            root = Root(os.path.realpath(path), os.fspath(base), prefix, entry.row or NO_ROW)
            yield from self._named(source, path, entry.path, root)

    def _checked(self, entry: Entry | BadRow, number: int, source: Path) -> Entry | BadRow:
        if isinstance(entry, BadRow):
            return entry
        if (row := entry.row) is None:
            return plain_entry(entry.path, number)
        window = asked_window(row, self._max_seconds)
        if window is None or not is_longer(window, self._max_seconds):
            return Entry(entry.path, replace(row, list_path=os.fspath(source)))
        return BadRow(
            row.number,
            f"row {row.number}: its window of {window.end_s - window.start_s:g} s is longer than "
            f"max_seconds ({self._max_seconds:g} s)",
        )

    def _own_window(self, row: Row) -> Window | None:
        """The window that distinguishes a row from others of its file."""
        window = asked_window(row, self._max_seconds)
        is_first = self._takes_first and window == (0.0, self._max_seconds)
        return None if is_first else window

    def _named(self, source: Path, path: str, name: str, root: Root) -> Iterator[Found]:
        order, real = next(self._folders.orders), root.real
        try:
            facts = Path(path).stat()
        except OSError as error:
            if self._claims.name_file(real, root.row, self._own_window(root.row)):
                yield unusable(Source(path, name, 0, 0, root.base, real, root.row), error)
            return
        if stat.S_ISDIR(facts.st_mode) and (reason := not_for_folders(root.row)):
            yield bad_row(Path(path), BadRow(root.row.number, reason))
            return
        if stat.S_ISDIR(facts.st_mode):
            self._check_folder(Path(path))
            self._claims.add(Area(real, "", order, root.row))
            yield from self._tree(root, path, order)
            return
        found = self._named_file(source_at(path, name, facts, root, real), facts, order)
        if found is PassedOver.DUPLICATE:
            yield from self._repeated(source, real, root.row)
        elif isinstance(found, PassedOver):
            self.passed_over[found] += 1
        else:
            yield found

    def _repeated(self, source: Path, real: str, row: Row) -> Iterator[Found]:
        """A file that was named before: a duplicate, unless its row differs from the first."""
        if why := self._claims.contradiction(real, row, self._own_window(row)):
            yield bad_row(source, BadRow(row.number, why), row)
        else:
            self.passed_over[PassedOver.DUPLICATE] += 1

    def _named_file(
        self, source: Source, facts: os.stat_result, order: Order
    ) -> Found | PassedOver:
        real = source.real_path
        if not stat.S_ISREG(facts.st_mode):
            return PassedOver.NOT_A_FILE
        row, window = source.row, self._own_window(source.row)
        is_plain = not row.prompt and window is None
        is_taken = is_plain and self._claims.takes(real, before=order)
        if is_taken or not self._claims.name_file(real, row, window):
            return PassedOver.DUPLICATE
        if not source.size_bytes:
            return Unusable(source, FailureCode.EMPTY_FILE, "0 bytes")
        if not os.access(source.path, os.R_OK):
            return Unusable(source, FailureCode.SOURCE_UNREADABLE, "Permission denied")
        return source

    def _tree(self, root: Root, path: str, order: Order) -> Iterator[Source]:
        for found in self._folders.files(root, path, order):
            if isinstance(found, PassedOver):
                self.passed_over[found] += 1
            elif not self._is_fresh(found):
                yield found
            elif len(self._fresh) < _MAX_FRESH:
                self._fresh.append(found)
            else:
                self.passed_over[PassedOver.STILL_CHANGING] += 1


def _is_far(entry: Entry | BadRow) -> bool:
    return isinstance(entry, Entry) and is_address(entry.path)
