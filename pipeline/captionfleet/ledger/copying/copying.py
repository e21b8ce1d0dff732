"""Keeps a copy of the output folder in a bucket, beside the run (main process)."""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from captionfleet.errors import ConfigError, FailureCode, OutputError
from captionfleet.ledger.copying.deciding import Copied, Decision, Known, decide
from captionfleet.ledger.copying.files import (
    Marks,
    Stamp,
    chunks_of,
    lines_in,
    load_marks,
    opened,
    save_marks,
)
from captionfleet.ledger.copying.finding import Found, find, find_gone
from captionfleet.ledger.copying.record import is_there, read_record
from captionfleet.ledger.copying.restoring import restore, restore_captions
from captionfleet.ledger.files.names import CAPTIONS, COPY
from captionfleet.ledger.files.rotated import require_no_captions
from captionfleet.ledger.format.serialising import document
from captionfleet.messages.address import Address
from captionfleet.storage import (
    PART_BYTES,
    StorageError,
    remove_object,
    write_object,
)
from captionfleet.telemetry import get_log, monotonic_s, utc_now
from captionfleet.text import size

__all__ = ["FolderCopy"]

_REST = 9  # times as long as a copy took: so that copying takes a tenth of the time at most
_RESTORING = frozenset({Decision.RESTORE, Decision.RESTORE_CAPTIONS})


class FolderCopy:
    """The copy of one output folder; `problem` says why it is not current.

    A copy that fails gives a warning, and the run goes on.
    """

    def __init__(self, folder: Path, address: Address, marks: Marks, every_s: float) -> None:
        self.problem = ""
        self.copied_at_utc = ""
        self._folder = folder
        self._address = address
        self._marks = marks
        self._every_s = every_s
        self._writer = uuid.uuid4().hex
        self._remote: Copied | None = None  # None: the copy is not this run's own yet
        self._stamps: dict[str, Stamp] = {}
        self._sizes: dict[str, int] = {}  # of what this run wrote, in bytes
        self._is_lost = False

    def as_dict(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "to": self._address.shown,
            "is_current": not self.problem,
            "copied_at_utc": self.copied_at_utc,
            "problem": self.problem,
        }

    async def keep(self) -> None:
        """Renew the copy at intervals until cancelled."""
        wait_s = self._every_s
        while not self._is_lost:
            await anyio.sleep(wait_s)
            begun_s = monotonic_s()
            is_through = await self.renew()
            took_s = monotonic_s() - begun_s if is_through else 0.0
            wait_s = max(self._every_s, _REST * took_s)

    async def renew(self) -> bool:
        """Copy the changed files; log a failure, and try again at the next renewal.

        Returns:
            Whether all files were copied that can be read.
        """
        if self._is_lost:
            return False
        before, self.problem = self.problem, "the time for the copy ran out"
        is_through = False
        try:
            self.problem, is_through = await self._renew(), True
        except StorageError as error:
            self.problem = error.detail
        except (OutputError, OSError) as error:
            self.problem = str(error)
        if not self.problem:
            self.copied_at_utc = utc_now()
        elif self.problem != before:
            get_log().warning(
                "the output folder cannot be copied now",
                to=self._address.shown,
                reason=self.problem,
                is_passing=not self._is_lost,
            )
        return is_through

    async def claim(self, *, may_restore: bool) -> None:
        """Make this run the one that keeps the copy; restore lines that only the copy has.

        Without `may_restore`, a run may be writing to the folder, or has ended.

        Raises:
            StorageError: the bucket cannot be reached, or refuses.
            ConfigError: the bucket holds files that this folder must not replace.
            OutputError: the folder cannot be read, or lacks lines that it may not restore.
        """
        remote, known, decision = await self._look()
        if remote is not None and decision in _RESTORING:
            if not may_restore:
                raise OutputError(f"{decision.value}: the next run restores it")
            await self._restore(remote, decision)
            known = self._marks.copies[self._address.shown]
        await self._take(remote, known)

    async def look(self) -> Decision:
        """What `claim` would do; nothing is written.

        Raises:
            StorageError, ConfigError, OutputError: as `claim` does.
        """
        _, _, decision = await self._look()
        if decision in _RESTORING:
            await anyio.to_thread.run_sync(require_no_captions, self._folder, 0)
        return decision

    async def _look(self) -> tuple[Copied | None, Known, Decision]:
        remote = await read_record(self._address)
        known = self._marks.copies.get(self._address.shown, Known())
        decision = await self._decision(known, remote)
        if decision.advice:
            raise ConfigError(
                f"output.copy_to: {self._address.shown}: {decision.value}: {decision.advice}"
            )
        return remote, known, decision

    async def _decision(self, known: Known, remote: Copied | None) -> Decision:
        lines = await anyio.to_thread.run_sync(lines_in, self._folder)
        must_look = remote is None or not lines.captions_bytes
        is_occupied = must_look and await is_there(self._address.below(CAPTIONS))
        return decide(self._marks.folder, known, remote, lines, is_occupied=is_occupied)

    async def _restore(self, remote: Copied, decision: Decision) -> None:
        in_thread, place = anyio.to_thread.run_sync, (self._folder, self._address, remote)
        await in_thread(require_no_captions, self._folder, 0)  # newer than the copy's
        if decision is Decision.RESTORE:
            what = "the output folder was empty and"
            fetched = await in_thread(restore, *place)
        else:
            what = f"{CAPTIONS} was lost and"
            fetched = await in_thread(restore_captions, *place, self._marks)
        self._marks = await in_thread(load_marks, self._folder)
        get_log().warning(
            f"{what} is restored from its copy",
            copy=self._address.shown,
            size=size(fetched),
            copied_at=remote.copied_at_utc,
        )

    async def _take(self, remote: Copied | None, known: Known) -> None:
        """Record, in the folder and then in the bucket, that this run writes to the copy."""
        folder = self._marks.folder or uuid.uuid4().hex
        self._stamps, self._sizes = dict(known.stamps) if remote else {}, {}
        writers = (*((remote.writer,) if remote else ()), self._writer)
        await self._mark(folder, Known(writers, self._stamps))
        own = Copied(folder, self._writer)
        if remote is not None:
            own = replace(remote, folder=folder, writer=self._writer)
        await self._say(own, is_first=remote is None)
        self._remote = own

    async def _renew(self) -> str:
        """Copy what changed, remove what is gone; return which files cannot be read, in words."""
        in_thread = anyio.to_thread.run_sync
        found = await in_thread(find, self._folder, self._marks.folder)
        if self._remote is None or not await self._is_there_still():
            await self._claim_late()
        assert self._remote is not None  # noqa: S101 - it was claimed
        noted, unread = dict(self._remote.files), _unread(found.unread)
        files = {**noted, **self._sizes}
        changed = [name for name in found.stamps if self._is_changed(name, found, files)]
        absent = [name for name in {**files, **self._stamps} if name not in found.stamps]
        gone = await in_thread(find_gone, self._folder, self._marks.folder, absent)
        if not changed and not gone and files == noted:
            return unread
        if any(name not in files for name in changed):
            await self._note({**dict.fromkeys(changed, 0), **files})
        for name in changed:
            files[name] = await self._copy(name, files.get(name, 0))
        for name in gone:
            for record in (files, self._sizes, self._stamps):
                record.pop(name, None)
        await self._note(files)
        for name in gone:  # files that the record does not name are never restored
            with suppress(StorageError):
                await remove_object(self._address.below(name))
        await self._mark(self._marks.folder, Known((self._writer,), self._stamps))
        return unread

    def _is_changed(self, name: str, found: Found, files: Mapping[str, int]) -> bool:
        return name not in files or self._stamps.get(name) != found.stamps[name]

    async def _copy(self, name: str, copied_bytes: int) -> int:
        file, end, stamp = await anyio.to_thread.run_sync(opened, self._folder / name)
        place = self._address.below(name)
        with file:
            if name == CAPTIONS and copied_bytes and not end:
                raise OutputError(f"{name} is empty now: its copy stays as it is")
            if end <= PART_BYTES:
                body = b"".join([chunk async for chunk in chunks_of(file, end)])
                await write_object(place, body, end)
            else:
                await write_object(place, lambda: chunks_of(file, end), end)
        self._stamps[name], self._sizes[name] = stamp, end
        return end

    async def _claim_late(self) -> None:
        try:
            await self.claim(may_restore=False)
        except ConfigError as error:
            self._is_lost = True
            raise StorageError(FailureCode.SOURCE_CHANGED, str(error)) from None

    async def _is_there_still(self) -> bool:
        """Whether the copy still exists: someone may have removed it.

        Raises:
            StorageError: the bucket cannot be reached, or another run has taken over the copy.
        """
        remote = await read_record(self._address)
        if remote is not None and remote.writer != self._writer:
            self._is_lost = True
            raise StorageError(
                FailureCode.SOURCE_CHANGED,
                "another run has taken over the copy, so this run no longer writes to it",
            )
        return remote is not None

    async def _note(self, files: dict[str, int]) -> None:
        assert self._remote is not None  # noqa: S101 - it was claimed
        await self._is_there_still()
        noted = replace(self._remote, files=files, copied_at_utc=utc_now())
        await self._say(noted)
        self._remote = noted

    async def _say(self, copied: Copied, *, is_first: bool = False) -> None:
        text, place = document(copied.as_dict()), self._address.below(COPY)
        if is_first:
            try:
                await write_object(place, text, len(text), mode="create")
            except StorageError as error:
                if (
                    not error.may_pass and not await self._is_own()
                ):  # an earlier try may have written it
                    raise
            else:
                return
        await write_object(place, text, len(text))  # servers may lack conditional writes

    async def _is_own(self) -> bool:
        remote = await read_record(self._address)
        return remote is not None and remote.writer == self._writer

    async def _mark(self, folder: str, known: Known) -> None:
        copies = {**self._marks.copies, self._address.shown: known}
        self._marks = Marks(folder, copies)
        await anyio.to_thread.run_sync(save_marks, self._folder, self._marks)


def _unread(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{name} cannot be read: {reason}" for name, reason in reasons.items())
