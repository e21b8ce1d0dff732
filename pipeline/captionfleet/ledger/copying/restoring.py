"""Restores an output folder from its copy in a bucket (main process, in a thread)."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio.from_thread

from captionfleet.errors import FailureCode
from captionfleet.ledger.copying.deciding import Copied, Known
from captionfleet.ledger.copying.files import Marks, save_marks, stamps_of
from captionfleet.ledger.files.disk import create_folder, replace_atomically
from captionfleet.ledger.files.names import CAPTIONS
from captionfleet.messages.address import Address
from captionfleet.storage import PART_BYTES, ObjectFacts, StorageError, look, read_range

__all__ = ["restore"]


def restore(folder: Path, address: Address, remote: Copied) -> int:
    """Fetch all files of a copy into a folder without captions; return their size in bytes. Blocks.

    The next run repeats a restore that was interrupted.

    Raises:
        StorageError: a file cannot be read, or is gone from the copy.
        OutputError: it cannot be written.
    """
    begun = Known((remote.writer,), is_restoring=True)
    save_marks(folder, Marks(remote.folder, {address.shown: begun}))
    # The captions come last: with them the folder no longer counts as empty.
    names = sorted(remote.files, key=lambda name: name == CAPTIONS)
    fetched = sum(_fetch(folder, address, name, remote.files[name]) for name in names)
    done = Known((remote.writer,), stamps_of(folder))
    save_marks(folder, Marks(remote.folder, {address.shown: done}))
    return fetched


def _fetch(folder: Path, address: Address, name: str, size_bytes: int) -> int:
    place = address.below(name)
    try:
        facts = look(place)
    except StorageError as error:
        if error.code is FailureCode.SOURCE_MISSING and not size_bytes:
            return 0  # the run was killed before it uploaded this file
        raise StorageError(error.code, f"{name}: {error.detail}", may_pass=error.may_pass) from None
    path = folder / name
    create_folder(path.parent)
    replace_atomically(path, _parts(place, facts))
    return facts.size_bytes


def _parts(place: Address, facts: ObjectFacts) -> Iterator[bytes]:
    for start in range(0, facts.size_bytes, PART_BYTES):
        end = min(start + PART_BYTES, facts.size_bytes)
        yield anyio.from_thread.run(partial(read_range, place, facts, start, end))
