"""Writes the output folder: a durable line for every clip, and the totals (main process)."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Self

import anyio
import anyio.to_thread
import orjson

from captionfleet.config import OutputConfig
from captionfleet.errors import OutputError
from captionfleet.ledger.adoption import Adoptions
from captionfleet.ledger.files.disk import (
    AppendFile,
    create_folder,
    remove_old_drafts,
    replace_atomically,
)
from captionfleet.ledger.files.lock import RunLock
from captionfleet.ledger.files.names import CAPTIONS, FAILURES, FILMS, SAME, TIMELINE
from captionfleet.ledger.files.reading import record_of, text_in
from captionfleet.ledger.format.fingerprint import row_fingerprint
from captionfleet.ledger.format.serialising import (
    caption_line,
    document,
    failure_line,
    film_line,
    same_line,
)
from captionfleet.ledger.held import Held
from captionfleet.ledger.past_runs import save_run
from captionfleet.ledger.renaming import Renames
from captionfleet.ledger.rewriting import drop_superseded, refile, rename
from captionfleet.messages import Adopted, Caption, Measured, Note, Outcome
from captionfleet.telemetry import utc_now

__all__ = ["Fingerprints", "Ledger", "open_ledger"]

Fingerprints = Mapping[tuple[str, str], str]
"""By the names of a request and of its deployment."""
KeepsFailure = Callable[[str, str], bool]
_Failed = tuple[int, str]
"""The clip that failed, and its request."""


@asynccontextmanager
async def open_ledger(
    output: OutputConfig,
    fingerprints: Fingerprints | None = None,
    row_fingerprints: Fingerprints | None = None,
) -> AsyncIterator["Ledger"]:
    """Lock the folder, repair what a crash tore, and write to it while the block runs.

    `fingerprints` are those of each request to each deployment, for captions lines;
    `row_fingerprints` are those of requests for rows with their own prompt. Leaving the block
    syncs, settles failures.jsonl unless that was done, and unlocks, also after an error or a
    cancellation.

    Raises:
        OutputError: the folder cannot be written, or another run holds it.
    """
    ledger = await anyio.to_thread.run_sync(
        Ledger.open, output, fingerprints or {}, row_fingerprints or {}
    )
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

    Memory: about 200 bytes for each line of failures.jsonl. `hand_over` is called in a thread with
    clip id and request before each caption's line is written, until it returns True. An outcome in
    `held` leaves it once its line is written.
    """

    def __init__(self, lock: RunLock, captions: AppendFile, failures: AppendFile) -> None:
        self.folder = folder = lock.folder
        self._lock = lock
        self.torn_lines_repaired = captions.torn_lines + failures.torn_lines
        self._captions = captions
        self._failures = failures
        self._notes: dict[str, AppendFile] = {}
        self._adoptions = Adoptions(folder)
        self._failed_at: dict[_Failed, int] = {}  # the offset of the latest failure line
        self._run_begins_at = 0
        self._is_settled = False
        self._fsync_s = 0.0
        self._fingerprints: Fingerprints = {}
        self._row_fingerprints: Fingerprints = {}
        self.hand_over: Callable[[str, str], bool] | None = None
        self.held = Held()
        self._turn = anyio.Lock()
        self._unsynced = anyio.Event()
        self._opened_at = datetime.now(UTC)
        self._closing = ExitStack()

    @classmethod
    def open(
        cls,
        output: OutputConfig,
        fingerprints: Fingerprints,
        row_fingerprints: Fingerprints,
    ) -> Self:
        """Open the folder. Blocks."""
        create_folder(output.dir)
        with ExitStack() as closing:
            lock = RunLock(output.dir)
            closing.callback(lock.release)
            remove_old_drafts(output.dir)
            captions = AppendFile(output.dir / CAPTIONS)
            closing.callback(captions.close)
            failures = AppendFile(output.dir / FAILURES)
            closing.callback(failures.close)
            ledger = cls(lock, captions, failures)
            closing.callback(ledger._adoptions.close)
            ledger._fsync_s = output.fsync_s
            ledger._fingerprints = fingerprints
            ledger._row_fingerprints = row_fingerprints
            ledger._read_failures()
            ledger._closing = closing.pop_all()
        return ledger

    def begin(self) -> None:
        """Until `write_run`, the folder counts as that of a run that did not end."""
        self._lock.begin()

    async def append(self, outcome: Outcome) -> None:
        """Write the outcome's line; once begun it completes, even when cancelled.

        Raises:
            OutputError: the line is not in the file.
        """
        if isinstance(outcome, Caption):
            fingerprint = self._fingerprint(outcome)
            line = caption_line(outcome, utc_now(), fingerprint)
        else:
            line = failure_line(outcome, utc_now())
        await self._in_turn(self._append, outcome, line)
        self._unsynced.set()

    async def note(self, note: Note) -> None:
        """Write a note for later runs: a known or measured film, or an adopted caption.

        Raises:
            OutputError: the line is not in the file.
        """
        await self._in_turn(self._note, note)

    async def refile(self) -> None:
        """Rewrite captions.jsonl with adopted captions under their files' current ids.

        Raises:
            OutputError: it failed; the file is unchanged, and the next run tries again.
        """
        await self._in_turn(refile, self._captions, self._adoptions)

    async def rename(self, renames: Renames) -> None:
        """Rewrite captions.jsonl with the current names of its requests.

        Raises:
            OutputError: it failed; the file is unchanged, and the next run tries again.
        """
        await self._in_turn(rename, self._captions, renames)

    async def keep_synced(self) -> None:
        """Sync lines at most `fsync_s` after they were written; runs until cancelled.

        Raises:
            OutputError: the disk refuses; lines may be lost.
        """
        while self._fsync_s:
            await self._unsynced.wait()
            await anyio.sleep(self._fsync_s)
            self._unsynced = anyio.Event()
            await anyio.to_thread.run_sync(self._sync)

    async def settle(self, keeps_failure: KeepsFailure) -> None:
        """Rewrite failures.jsonl with the latest line of each clip and request that stands failed.

        `keeps_failure` decides, by clip id and request, about lines of earlier runs whose clips
        were not tried.
        """
        await self._in_turn(self._settle, keeps_failure)

    async def drop_superseded(self) -> None:
        """Rewrite captions.jsonl without lines whose clip has a later one of the same request.

        Raises:
            OutputError: that failed; the file is as it was.
        """
        await self._in_turn(drop_superseded, self._captions)

    async def write_run(self, record: Mapping[str, Any]) -> None:
        """Replace run.json, and keep a copy in runs/."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(save_run, self.folder, document(record), self._opened_at)
            self._lock.end()

    async def write_timeline(self, record: Mapping[str, Any]) -> None:
        """Replace timeline.json, which is long and read by programs alone."""
        path, text = self.folder / TIMELINE, orjson.dumps(record)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(replace_atomically, path, iter([text]))

    def close(self) -> None:
        """Settle, which syncs, and unlock. Blocks."""
        with self._closing:
            if not self._is_settled:
                self._settle(lambda *_: True)

    async def _in_turn(self, work: Callable[..., None], *arguments: object) -> None:
        """Run work that changes the files, one piece at a time; once begun it completes."""
        with anyio.CancelScope(shield=True):
            async with self._turn:
                await anyio.to_thread.run_sync(work, *arguments)

    def _fingerprint(self, caption: Caption) -> str:
        made_by = caption.request, caption.deployment
        prompt = caption.clip.source.row.prompt
        request = (self._row_fingerprints if prompt else self._fingerprints).get(made_by, "")
        own = prompt or caption.prompt
        return row_fingerprint(request, own) if request and own else request

    def _append(self, outcome: Outcome, line: bytes) -> None:
        clip, is_caption = outcome.clip, isinstance(outcome, Caption)
        request = outcome.request
        if is_caption and self.hand_over is not None and self.hand_over(clip.clip_id, request):
            self.hand_over = None
        begins_at = (self._captions if is_caption else self._failures).append(line)
        self.held.discard(outcome)
        # A file that could not be read before failed under its stat id.
        for identity in filter(None, (clip.clip_id, clip.stat_id)):
            self._failed_at.pop((int(identity, 16), request), None)
        if not is_caption:
            self._failed_at[int(clip.clip_id, 16), request] = begins_at
        self._is_settled = False
        if not self._fsync_s:
            self._sync()

    def _note(self, note: Note) -> None:
        if isinstance(note, Adopted):
            self._adoptions.add(note)
            return
        # Losing notes in a crash only costs reading again, so no line waits to be synced.
        if isinstance(note, Measured):
            self._notes_in(FILMS).append(film_line(note, utc_now()))
        else:
            self._notes_in(SAME).append(same_line(note, utc_now()))

    def _notes_in(self, name: str) -> AppendFile:
        if name not in self._notes:
            self._notes[name] = AppendFile(self.folder / name)
            self._closing.callback(self._notes[name].close)
        return self._notes[name]

    def _sync(self) -> None:
        self._captions.sync()
        self._failures.sync()

    def _read_failures(self) -> None:
        for offset, line in self._failures.lines():
            failed = _failed(line)
            if failed is not None:
                self._failed_at[failed] = offset
            self._run_begins_at = offset + len(line)

    def _settle(self, keeps_failure: KeepsFailure) -> None:
        standing = {
            offset
            for (identity, request), offset in self._failed_at.items()
            if offset >= self._run_begins_at or keeps_failure(f"{identity:032x}", request)
        }
        self._captions.sync()  # the caption first, then remove the failure
        self._failures.rewrite(self._lines_at(standing))
        self._failed_at.clear()
        self._read_failures()
        self._is_settled = True

    def _lines_at(self, offsets: set[int]) -> Iterator[bytes]:
        return (line for offset, line in self._failures.lines() if offset in offsets)


def _failed(line: bytes) -> _Failed | None:
    record = record_of(line)
    try:
        return int(record["clip_id"], 16), text_in(record, "request")
    except (ValueError, KeyError, TypeError):
        return None
