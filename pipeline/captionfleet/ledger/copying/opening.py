"""Begins the copy of an output folder in a bucket: restores an empty folder, or claims the copy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from captionfleet.config import OutputConfig
from captionfleet.errors import ConfigError, OutputError
from captionfleet.ledger.copying.copying import FolderCopy
from captionfleet.ledger.copying.deciding import Known, can_begin_alone
from captionfleet.ledger.copying.files import lines_in, load_marks
from captionfleet.ledger.files.disk import create_folder
from captionfleet.ledger.files.lock import FolderLock, RunLock
from captionfleet.messages.address import Address, parse_address
from captionfleet.storage import StorageError
from captionfleet.telemetry import get_log

__all__ = ["copy_again", "open_copy"]


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
        known = marks.copies.get(address.shown, Known())
        lines = await anyio.to_thread.run_sync(lines_in, output.dir)
        if not (error.may_pass and can_begin_alone(known, lines)):
            raise ConfigError(f"output.copy_to: {address.shown}: {error.detail}") from None
        copy.problem = error.detail
        get_log().warning("the copy cannot be reached now", to=address.shown, reason=error.detail)
    return copy


@asynccontextmanager
async def _locked(folder: Path, lock: type[FolderLock]) -> AsyncIterator[None]:
    held = await anyio.to_thread.run_sync(lock, folder)
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(held.release)
