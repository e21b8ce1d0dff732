"""Finds the files of an output folder to copy: changed, gone, or unreadable now (main process)."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from captionfleet.errors import OutputError
from captionfleet.ledger.copying.files import (
    FOLDERS,
    IN_ORDER,
    OTHERS,
    Stamp,
    is_copied,
    load_marks,
)
from captionfleet.ledger.files.disk import followed
from captionfleet.ledger.files.names import CAPTIONS
from captionfleet.messages import printable
from captionfleet.system.regular_file import open_regular, require_folder

__all__ = ["Found", "find", "find_gone", "stamp_of"]


@dataclass(frozen=True, slots=True)
class Found:
    """The files to copy, in the order of copying, and why others cannot be read, by name."""

    stamps: Mapping[str, Stamp]
    unread: Mapping[str, str]


def find(folder: Path, own_id: str) -> Found:
    """Look through the output folder with this id. Blocks.

    If a line file cannot be read, those that are copied after it wait too.

    Raises:
        OSError: the folder cannot be read.
        OutputError: another folder is in its place, or captions.jsonl is gone from it.
    """
    _require_whole(folder, own_id)
    stamps: dict[str, Stamp] = {}
    unread: dict[str, str] = {}
    for name in IN_ORDER:
        _add(folder, name, stamps, unread)
        if unread:
            break
    for name in (*OTHERS, *_inner(folder, unread)):
        _add(folder, name, stamps, unread)
    return Found(stamps, unread)


def find_gone(folder: Path, own_id: str, names: Iterable[str]) -> list[str]:
    """Which of these files were removed from the output folder with this id. Blocks.

    A disk that does not answer and a folder that was replaced have removed nothing.

    Raises:
        OSError, OutputError: as `find` does.
    """
    gone = [name for name in names if _is_gone(folder, name)]
    _require_whole(folder, own_id)
    return gone


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file; None if there is none. Blocks.

    Raises:
        OSError: it cannot be read, or is a link that is not the user's own.
    """
    real = followed(path)
    try:
        handle = open_regular(real)
    except FileNotFoundError:
        if real == path:
            return None
        raise  # a link stays, but the disk that it leads to is gone
    try:
        facts = os.fstat(handle)
    finally:
        os.close(handle)
    return facts.st_size, facts.st_mtime_ns


def _add(folder: Path, name: str, stamps: dict[str, Stamp], unread: dict[str, str]) -> None:
    try:
        stamp = stamp_of(folder / name)
    except OSError as error:
        unread[name] = error.strerror or str(error)
    else:
        if stamp is not None:
            stamps[name] = stamp


def _inner(folder: Path, unread: dict[str, str]) -> Iterator[str]:
    for inner in FOLDERS:
        try:
            require_folder(folder / inner)
            names = sorted(path.name for path in (folder / inner).iterdir())
        except FileNotFoundError:
            continue
        except OSError as error:
            unread[inner] = error.strerror or str(error)
        else:
            yield from (f"{inner}/{name}" for name in names if is_copied(f"{inner}/{name}"))


def _is_gone(folder: Path, name: str) -> bool:
    path = folder / name
    try:
        if path.parent != folder:
            require_folder(path.parent)
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _require_whole(folder: Path, own_id: str) -> None:
    """Require the folder that the copy is of; a disk may be unmounted during a run.

    Its id is compared, not its inode, which some network file systems change.
    """
    where = printable(os.fspath(folder))
    if load_marks(folder).folder != own_id:
        raise OutputError(f"{where} was moved, emptied or replaced: its copy stays as it is")
    try:
        (folder / CAPTIONS).lstat()
    except FileNotFoundError:
        message = f"{where}: {CAPTIONS} is gone from it: its copy stays as it is"
        raise OutputError(message) from None
