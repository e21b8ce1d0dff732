"""The output folder: a durable line for every clip, totals at the end (main process)."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.to_thread
import orjson

from pipeline.config import OutputConfig
from pipeline.errors import OutputError
from pipeline.messages import Caption, Outcome
from pipeline.sink.disk import AppendFile, create_folder, replace_atomically
from pipeline.sink.lines import caption_line, document, failure_line
from pipeline.sink.lock import FolderLock
from pipeline.telemetry import utc_now

__all__ = ["Ledger", "open_ledger"]


@asynccontextmanager
async def open_ledger(output: OutputConfig) -> AsyncIterator["Ledger"]:
    """Lock the folder, mend what a crash tore, and write to it while the block runs.

    Leaving the block syncs, settles failures.jsonl unless that was done, and unlocks, also when
    an error or a cancellation ends it.

    Raises:
        OutputError: the folder cannot be written, or another run holds it.
    """
    ledger = await anyio.to_thread.run_sync(Ledger.open, output)
    try:
        yield ledger
    except BaseException:
        with anyio.CancelScope(shield=True), suppress(OutputError):  # the first error is the cause
            await anyio.to_thread.run_sync(ledger.close)
        raise
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(ledger.close)


class Ledger:
    """The two line files of an output folder, and run.json; made by `open_ledger`.

    Memory: about 100 bytes for each line of failures.jsonl.
    """

    def __init__(self, folder: Path, captions: AppendFile, failures: AppendFile) -> None:
        self.folder = folder
        self.torn_lines_repaired = captions.torn_lines + failures.torn_lines
        self._captions = captions
        self._failures = failures
        self._failed_at: dict[int, int] = {}  # clip id → where its latest failure line begins
        self._run_begins_at = 0
        self._is_settled = False
        self._fsync_s = 0.0
        self._turn = anyio.Lock()
        self._unsynced = anyio.Event()
        self._closing = ExitStack()

    @classmethod
    def open(cls, output: OutputConfig) -> Self:
        """Open the folder. Blocks."""
        create_folder(output.dir)
        with ExitStack() as closing:
            closing.callback(FolderLock(output.dir).release)
            captions = AppendFile(output.dir / "captions.jsonl")
            closing.callback(captions.close)
            failures = AppendFile(output.dir / "failures.jsonl")
            ledger = cls(output.dir, captions, failures)
            closing.callback(lambda: ledger._failures.close())  # noqa: PLW0108 - settling replaces it
            ledger._fsync_s = output.fsync_s
            ledger._read_failures()
            ledger._closing = closing.pop_all()
        return ledger

    async def append(self, outcome: Outcome) -> None:
        """Write the outcome's line; once begun it is finished, whatever is cancelled.

        Raises:
            OutputError: the line is not in the file.
        """
        if isinstance(outcome, Caption):
            line = caption_line(outcome, utc_now())
        else:
            line = failure_line(outcome, utc_now())
        with anyio.CancelScope(shield=True):
            async with self._turn:
                await anyio.to_thread.run_sync(self._append, outcome, line)
        self._unsynced.set()

    async def keep_synced(self) -> None:
        """Bring lines to the disk at most `fsync_s` after they were written; runs until cancelled.

        Raises:
            OutputError: the disk refuses; lines may be lost.
        """
        while self._fsync_s:
            await self._unsynced.wait()
            await anyio.sleep(self._fsync_s)
            self._unsynced = anyio.Event()
            await anyio.to_thread.run_sync(self._sync)

    async def settle(self, keeps_failure: Callable[[str], bool]) -> None:
        """Rewrite failures.jsonl: one line for each clip that stands failed, the latest.

        `keeps_failure` decides, by clip id, on lines of earlier runs whose clips were not tried.
        """
        with anyio.CancelScope(shield=True):
            async with self._turn:
                await anyio.to_thread.run_sync(self._settle, keeps_failure)

    async def write_run(self, record: Mapping[str, Any]) -> None:
        """Replace run.json."""
        path = self.folder / "run.json"
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(replace_atomically, path, iter([document(record)]))

    def close(self) -> None:
        """Settle, which syncs, and unlock. Blocks."""
        with self._closing:
            if not self._is_settled:
                self._settle(lambda _: True)

    def _append(self, outcome: Outcome, line: bytes) -> None:
        identity = int(outcome.clip.clip_id, 16)
        if isinstance(outcome, Caption):
            self._captions.append(line)
            self._failed_at.pop(identity, None)
        else:
            self._failed_at[identity] = self._failures.append(line)
        self._is_settled = False
        if not self._fsync_s:
            self._sync()

    def _sync(self) -> None:
        self._captions.sync()
        self._failures.sync()

    def _read_failures(self) -> None:
        for offset, line in self._failures.lines():
            identity = _clip_id(line)
            if identity is not None:
                self._failed_at[identity] = offset
            self._run_begins_at = offset + len(line)

    def _settle(self, keeps_failure: Callable[[str], bool]) -> None:
        standing = {
            offset
            for identity, offset in self._failed_at.items()
            if offset >= self._run_begins_at or keeps_failure(f"{identity:032x}")
        }
        self._captions.sync()  # before a failure goes, the caption in its place must be safe
        replace_atomically(self._failures.path, self._lines_at(standing))
        replaced, self._failures = self._failures, AppendFile(self._failures.path)
        replaced.close()
        self._failed_at.clear()
        self._read_failures()
        self._is_settled = True

    def _lines_at(self, offsets: set[int]) -> Iterator[bytes]:
        return (line for offset, line in self._failures.lines() if offset in offsets)


def _clip_id(line: bytes) -> int | None:
    try:
        return int(orjson.loads(line)["clip_id"], 16)
    except (ValueError, KeyError, TypeError):
        return None
