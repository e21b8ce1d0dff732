"""Gives a run its own folder in the media store, for media in progress and in use (main process).

Its files are hard links to entries of the store, so that no eviction, by this run or another, takes
a clip's media away. A lock on `ID.lock` shows that the run lives; any run that finds the lock free
removes `ID`. Each worker process has a folder of its own in it to write to.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio import to_thread

from captionfleet.config import StoreConfig
from captionfleet.errors import OutputError
from captionfleet.media.orders import hold_of
from captionfleet.messages import printable
from captionfleet.system.regular_file import make_folder, open_regular, require_folder
from captionfleet.telemetry import get_log
from captionfleet.workers.eviction import evict, stored_bytes
from captionfleet.workers.store import let_go

__all__ = ["Corner", "Workspace", "clear_dead", "open_workspace", "store_unwritable"]

_RUNS = "runs"
_RUN = re.compile(r"[0-9a-f]{16}")  # only such folders belong to this program
_SLACK = 16
_ROOM_BYTES = 2**28


def store_unwritable(store: Path, reason: str) -> OutputError:
    """The error that ends the run when the store cannot be written."""
    where = printable(os.fspath(store))
    return OutputError(
        f"{where}: cannot write the media store: {reason} (another folder: [store] dir, or --store)"
    )


@asynccontextmanager
async def open_workspace(config: StoreConfig) -> AsyncIterator["Workspace"]:
    """Open the store for a run, keep it within its limit, and clean up at the end.

    Raises:
        OutputError: the store cannot be written.
    """
    store = config.folder()
    try:
        corner = await to_thread.run_sync(Corner, store)
    except OSError as error:
        raise store_unwritable(store, str(error.strerror)) from None
    workspace = Workspace(store, corner.folder, config.max_bytes)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(workspace.tend)
            yield workspace
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(corner.clear)


class Workspace:
    """Names under which clips hold their media; releasing them never blocks."""

    def __init__(self, store: Path, corner: Path, max_bytes: int) -> None:
        self.store = store
        self._corner = corner
        self._max_bytes = max_bytes
        self._slack_bytes = max_bytes // _SLACK
        self._grown_bytes = 0
        self._given = 0
        self._drafted = 0
        self._held: dict[str, list[Path]] = {}
        self._uses: dict[str, int] = {}
        self._released: list[Path] = []
        self._stirred = anyio.Event()
        self._one_at_a_time = anyio.Lock()

    def hold(self, clip_id: str, forms: int = 1, *, uses: int = 1) -> Path:
        """The path, without ending, for this clip's media until they are released.

        With several forms they are at `hold_of` this path. They are released once for each use.
        """
        self._given += 1
        self._uses[clip_id] = uses
        path = self._corner / str(self._given)
        self._held[clip_id] = [Path(hold_of(str(path), place)) for place in range(forms)]
        return path

    async def draft_folder(self, previous: Path | None) -> Path:
        """Create a folder for one worker process, the only one that it may write to.

        Removes the previous process's folder with all its content.

        Raises:
            OutputError: the folder cannot be created.
        """
        self._drafted += 1
        folder = self._corner / f"worker-{self._drafted}"
        try:
            await to_thread.run_sync(_exchange, previous, folder, abandon_on_cancel=True)
        except OSError as error:
            raise store_unwritable(self.store, str(error.strerror)) from None
        return folder

    def release(self, clip_id: str) -> None:
        """Release a clip's media at its last use, if it has any; the store's entry may stay."""
        self._uses[clip_id] = self._uses.get(clip_id, 1) - 1
        if self._uses[clip_id] > 0:
            return
        del self._uses[clip_id]
        paths = self._held.pop(clip_id, None)
        if paths is not None:
            self._released += paths
            self._stirred.set()

    def grow(self, added_bytes: int) -> None:
        """Record that the store has grown."""
        self._grown_bytes += added_bytes
        if self._grown_bytes > self._slack_bytes:
            self._stirred.set()

    async def make_room(self) -> bool:
        """On a full disk: evict entries that no clip holds; False if there are none.

        Raises:
            OutputError: the store cannot be written.
        """
        async with self._one_at_a_time:
            await self._remove_released()
            try:
                freed_bytes = await to_thread.run_sync(evict, self.store, _ROOM_BYTES)
            except OSError as error:
                raise store_unwritable(self.store, str(error.strerror)) from None
        return freed_bytes > 0

    async def tend(self) -> None:
        """Remove what dead runs left, then keep the limit; runs until cancelled."""
        await to_thread.run_sync(clear_dead, self._corner.parent)
        self._grown_bytes = self._slack_bytes + 1
        while True:
            self._stirred = anyio.Event()
            async with self._one_at_a_time:
                await self._remove_released()
                if self._grown_bytes > self._slack_bytes:
                    await self._keep_bound()
            await self._stirred.wait()

    async def _remove_released(self) -> None:
        released, self._released = self._released, []
        if released:
            await to_thread.run_sync(_remove, released)

    async def _keep_bound(self) -> None:
        self._grown_bytes = 0
        try:
            total_bytes = await to_thread.run_sync(stored_bytes, self.store)
            excess_bytes = total_bytes - (self._max_bytes - self._slack_bytes)
            freed_bytes = await to_thread.run_sync(evict, self.store, excess_bytes)
        except OSError as error:  # the run goes on; writing the store fails if it must
            get_log().warning("media store not tended", reason=error.strerror)
            return
        if freed_bytes:
            get_log().info("media store", bytes=total_bytes, evicted_bytes=freed_bytes)


class Corner:
    """The folder of a living run; every method blocks.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, store: Path) -> None:
        store.parent.mkdir(parents=True, exist_ok=True)
        store.mkdir(mode=0o700, exist_ok=True)  # the films may be private
        runs = store / _RUNS
        make_folder(runs)
        self.folder = runs / secrets.token_hex(8)
        self._lock_path = self.folder.with_suffix(".lock")
        self._lock = open_regular(self._lock_path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.folder.mkdir()  # visible only now, to runs that look for dead ones
        except BaseException:
            self._lock_path.unlink(missing_ok=True)
            os.close(self._lock)
            raise

    def clear(self) -> None:
        """Remove it; what cannot be removed is left to the next run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self._lock_path.unlink()
        os.close(self._lock)


def clear_dead(runs: Path) -> None:
    """Remove the folders of runs that were killed."""
    with suppress(OSError):
        require_folder(runs)
        for corner in runs.iterdir():
            if _RUN.fullmatch(corner.name):
                with suppress(OSError):
                    require_folder(corner)
                    _clear_if_dead(corner)


def _clear_if_dead(corner: Path) -> None:
    lock_path = corner.with_suffix(".lock")
    lock = open_regular(lock_path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(corner, ignore_errors=True)
        lock_path.unlink(missing_ok=True)
    finally:
        os.close(lock)


def _exchange(previous: Path | None, folder: Path) -> None:
    if previous is not None:
        shutil.rmtree(previous, ignore_errors=True)
    folder.mkdir()


def _remove(holds: list[Path]) -> None:
    for hold in holds:
        let_go(hold)
