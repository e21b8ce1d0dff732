"""Begins the copy of an output folder in a bucket: restores an empty folder, or claims the copy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from captionfleet.config import OutputConfig
from captionfleet.errors import ConfigError, OutputError
from captionfleet.ledger.copying.copying import FolderCopy
from captionfleet.ledger.copying.deciding import Decision, Known, can_begin_alone
from captionfleet.ledger.copying.files import Marks, lines_in, load_marks
from captionfleet.ledger.copying.record import listing_problem
from captionfleet.ledger.files.disk import create_folder
from captionfleet.ledger.files.lock import FolderLock, RunLock
from captionfleet.messages.address import Address, parse_address
from captionfleet.storage import StorageError
from captionfleet.telemetry import get_log

__all__ = ["CopyLook", "copy_again", "look_at_copy", "open_copy"]


async def open_copy(output: OutputConfig) -> FolderCopy | None:
    """Claim the copy that a job asks for, and restore an empty folder from it.

    Raises:
        ConfigError: the copy cannot be written, or belongs to another folder.
        OutputError: the folder cannot be written, or another run holds it.
    """
    if output.copy_to is None:
        return None
    address = parse_address(output.copy_to)
    await anyio.to_thread.run_sync(create_folder, output.dir)
    async with _locked(output.dir, RunLock):
        return await _begun(output, address, may_restore=True)


@dataclass(frozen=True, slots=True)
class CopyLook:
    """What a run would do with its copy, and what may keep it from doing so.

    Without a decision, the copy cannot be reached, and a run would begin without it.
    """

    decision: Decision | None
    problem: str = ""


async def look_at_copy(output: OutputConfig) -> CopyLook:
    """What `open_copy` would do with the copy; nothing is written there or here.

    Raises:
        ConfigError: the copy cannot be read, or belongs to another folder.
        OutputError: the folder cannot be read.
    """
    address = parse_address(output.copy_to or "")
    marks = await anyio.to_thread.run_sync(load_marks, output.dir)
    try:
        decision = await FolderCopy(output.dir, address, marks, output.copy_every_s).look()
    except StorageError as error:
        await _require_passing(error, output.dir, address, marks)
        return CopyLook(None, error.detail)
    if decision is not Decision.BEGIN:
        return CopyLook(decision)
    return CopyLook(decision, await anyio.to_thread.run_sync(listing_problem, address))


async def copy_again(output: OutputConfig) -> str:
    """Copy what changed since the run ended; return the problem, or an empty text."""
    try:
        async with _locked(output.dir, FolderLock):
            address = parse_address(output.copy_to or "")
            copy = await _begun(output, address, may_restore=False)
            await copy.renew()
            return copy.problem
    except (ConfigError, OutputError) as error:
        return str(error)


async def _begun(output: OutputConfig, address: Address, *, may_restore: bool) -> FolderCopy:
    marks = await anyio.to_thread.run_sync(load_marks, output.dir)
    copy = FolderCopy(output.dir, address, marks, output.copy_every_s)
    try:
        await copy.claim(may_restore=may_restore)
    except StorageError as error:
        await _require_passing(error, output.dir, address, marks)
        copy.problem = error.detail
        get_log().warning("the copy cannot be reached now", to=address.shown, reason=error.detail)
    return copy


async def _require_passing(
    error: StorageError, folder: Path, address: Address, marks: Marks
) -> None:
    """Require that the run can begin although its copy cannot be reached."""
    known = marks.copies.get(address.shown, Known())
    lines = await anyio.to_thread.run_sync(lines_in, folder)
    if not (error.may_pass and can_begin_alone(known, lines)):
        raise ConfigError(f"output.copy_to: {address.shown}: {error.detail}") from None


@asynccontextmanager
async def _locked(folder: Path, lock: type[FolderLock]) -> AsyncIterator[None]:
    held = await anyio.to_thread.run_sync(lock, folder)
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(held.release)
