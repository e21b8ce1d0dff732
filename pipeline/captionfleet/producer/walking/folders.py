"""Walks a folder tree depth first, each folder sorted by name (main process, in a thread)."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from captionfleet.messages import NO_ROW, Row, Source, printable
from captionfleet.producer.walking.claims import Area, Claims, Order
from captionfleet.producer.walking.paging import sorted_names
from captionfleet.producer.walking.passed_over import PassedOver, Selection

__all__ = ["FolderWalk", "Root", "source_at"]


@dataclass(frozen=True, slots=True)
class Root:
    """The walked folder, without links; `prefix` precedes names if the root is below `base`."""

    real: str
    base: str
    prefix: str
    row: Row = NO_ROW


@dataclass(frozen=True, slots=True)
class _Level:
    """A folder on the current path; `rivals` are its paths in earlier areas, ending in "/"."""

    root: Root
    path: str
    real: str
    relative: str
    order: Order
    rivals: tuple[str, ...]
    names: Iterator[str]


class FolderWalk:
    """Walks folders depth first; calls `warn` for folders that cannot be read.

    `orders` numbers a folder that is reached by a link, after everything before it.
    """

    def __init__(
        self,
        selection: Selection,
        claims: Claims,
        *,
        follow_symlinks: bool,
        page: int,
        warn: Callable[..., object],
    ) -> None:
        self._selection = selection
        self._claims = claims
        self._follow_symlinks = follow_symlinks
        self._page = page
        self._warn = warn
        self.orders: Iterator[Order] = iter(())

    def files(self, root: Root, path: str, order: Order) -> Iterator[Source | PassedOver]:
        """The files in a folder, and the reasons why others are passed over."""
        levels = [self._level(root, path, root.real, "", order)]
        while levels:
            found = self._next(levels[-1])
            if found is None:
                levels.pop()
            elif isinstance(found, _Level):
                levels.append(found)
            else:
                yield found

    def _level(self, root: Root, path: str, real: str, relative: str, order: Order) -> _Level:
        return _Level(
            root=root,
            path=path.rstrip("/") + "/",
            real=real.rstrip("/") + "/",
            relative=relative and relative + "/",
            order=order,
            rivals=self._claims.reaching(real, before=order),
            names=sorted_names(path, self._page),
        )

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
        return source_at(level.path + name, relative, facts, level.root, real)

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
            # The walk comes to it under its own name; this also ends loops by links to a parent.
            return PassedOver.ALIAS
        order = next(self.orders)
        below = self._folder(level, name, real, order)
        if isinstance(below, _Level):
            self._claims.add(Area(real, level.relative + name, order))
        return below


def source_at(path: str, name: str, facts: os.stat_result, root: Root, real: str) -> Source:
    """The file as the walk found it."""
    return Source(path, name, facts.st_size, facts.st_mtime_ns, root.base, real, root.row)
