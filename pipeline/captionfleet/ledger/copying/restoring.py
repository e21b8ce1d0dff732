"""Restores an output folder from its copy in a bucket (main process, in a thread)."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio.from_thread

from captionfleet.errors import FailureCode
from captionfleet.ledger.copying.deciding import Copied, Known
from captionfleet.ledger.copying.files import IN_ORDER, Marks, Stamp, save_marks, size_of
from captionfleet.ledger.copying.finding import stamp_of
from captionfleet.ledger.files.disk import create_folder, replace_atomically
from captionfleet.ledger.files.names import CAPTIONS, FAILURES
from captionfleet.messages.address import Address
from captionfleet.storage import PART_BYTES, ObjectFacts, StorageError, look, read_range

__all__ = ["restore", "restore_captions"]


def restore(folder: Path, address: Address, remote: Copied) -> int:
    """Fetch all files of a copy into a folder without captions; return their size in bytes. Blocks.

    The next run repeats a restore that was interrupted.

    Raises:
        StorageError: a file cannot be read, or is gone from the copy.
        OutputError: it cannot be written.
    """
    begun = Known((remote.writer,), is_restoring=True)
    save_marks(folder, Marks(remote.folder, {address.shown: begun}))
    fetched = _fetch_all(folder, address, remote, {*remote.files, CAPTIONS})
    done = Known((remote.writer,), _stamps(folder, fetched))
    save_marks(folder, Marks(remote.folder, {address.shown: done}))
    return sum(fetched.values())


def restore_captions(folder: Path, address: Address, remote: Copied, marks: Marks) -> int:
    """Fetch the captions that a folder lost, and what they refer to, as far as it lacks that.

    The folder's other lines stay. Blocks, and raises as `restore` does.
    """
    names = [name for name in IN_ORDER if name in remote.files and name != FAILURES]
    lost = [name for name in {*names, CAPTIONS} if not size_of(folder / name)]
    fetched = _fetch_all(folder, address, remote, lost)
    known = marks.copies[address.shown]
    done = replace(known, stamps={**known.stamps, **_stamps(folder, fetched)})
    save_marks(folder, Marks(marks.folder, {**marks.copies, address.shown: done}))
    return sum(fetched.values())


def _fetch_all(
    folder: Path, address: Address, remote: Copied, names: Iterable[str]
) -> dict[str, int]:
    """Fetch these files; return the sizes of those that are there."""
    # The captions come last: with them the folder no longer counts as empty. The record may lack
    # them if a run was killed.
    in_order = sorted(names, key=lambda name: name == CAPTIONS)
    sizes = {name: _fetch(folder, address, name, remote.files.get(name, 0)) for name in in_order}
    return {name: size_bytes for name, size_bytes in sizes.items() if size_bytes is not None}


def _stamps(folder: Path, names: Iterable[str]) -> dict[str, Stamp]:
    """The stamps of files that are the copy's; another file of the folder is still to be copied."""
    found = {name: stamp_of(folder / name) for name in names}
    return {name: stamp for name, stamp in found.items() if stamp is not None}


def _fetch(folder: Path, address: Address, name: str, size_bytes: int) -> int | None:
    place = address.below(name)
    try:
        facts = look(place)
    except StorageError as error:
        if error.code is FailureCode.SOURCE_MISSING and not size_bytes:
            return None  # the run was killed before it uploaded this file
        raise StorageError(error.code, f"{name}: {error.detail}", may_pass=error.may_pass) from None
    path = folder / name
    create_folder(path.parent)
    replace_atomically(path, _parts(place, facts))
    return facts.size_bytes


def _parts(place: Address, facts: ObjectFacts) -> Iterator[bytes]:
    for start in range(0, facts.size_bytes, PART_BYTES):
        end = min(start + PART_BYTES, facts.size_bytes)
        yield anyio.from_thread.run(partial(read_range, place, facts, start, end))
