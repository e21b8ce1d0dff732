"""Checks the sources of a job, and reads lists of paths (main process)."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from captionfleet.config import InputConfig
from captionfleet.errors import ConfigError, FailureCode
from captionfleet.ledger.past_runs import past_sources
from captionfleet.messages import printable
from captionfleet.messages.address import Address, is_address, parse_address, without_keys
from captionfleet.producer.lists.rows import BadRow, Entry
from captionfleet.producer.lists.standard_input import STANDARD_INPUT, kept_standard_input
from captionfleet.producer.lists.tables import TABLES, shown_path, table_entries
from captionfleet.storage import StorageError, list_objects, look

__all__ = [
    "absolute",
    "base_of",
    "check_sources",
    "entries_of",
    "is_folder",
    "is_list",
    "is_remote",
    "list_entries",
    "may_have_rows",
    "past_roots",
]

_PLAIN_ENDINGS = frozenset({".txt", ".lst"})
_CHUNK_BYTES = 1 << 16
_MAX_ENTRY_BYTES = 1 << 20
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def check_sources(config: InputConfig) -> None:
    """Make sure that every source exists and can be read. Blocks.

    Raises:
        ConfigError: there is no source, or one is missing, unreadable, or neither file nor folder.
    """
    if not config.sources:
        raise ConfigError("input.sources: nothing to caption: name files, folders or lists of them")
    for source in config.sources:
        try:
            if source == STANDARD_INPUT:
                next(iter(entries_of(source)), None)
            elif is_remote(source):
                _ask_once(source)
            else:
                _open_once(source)
        except OSError as error:
            raise ConfigError(
                f"source {shown_path(source)}: {error.strerror}{_hint(source)}"
            ) from None


def _hint(source: Path) -> str:
    """A hint at what a missing source was meant to be."""
    name = os.fspath(source)
    if set(name) & set("*?["):
        return (
            "; patterns are not replaced here: name the folder, and the pattern with "
            f'[input] include = ["{shown_path(Path(source.name))}"]'
        )
    if scheme := _SCHEME.match(name):
        return f"; {scheme[1]}:// is none of s3://, gs://, az:// and https://"
    return ""


def _ask_once(source: Path) -> None:
    """Check that an address answers: the object itself, or the first one below it.

    Raises:
        ConfigError: it does not, or its scheme is unknown.
    """
    try:
        address = parse_address(os.fspath(source))
    except ValueError as error:
        name = printable(without_keys(os.fspath(source)))
        raise ConfigError(f"source {name}: {error}") from None
    if is_list(Path(address.key)):
        raise ConfigError(
            f"source {address.shown}: a list has to be on this machine: fetch it, and name that"
        )
    try:
        _require_there(address)
    except StorageError as error:
        raise ConfigError(f"source {address.shown}: {error.detail}") from None


def _require_there(address: Address) -> None:
    if address.is_web or (address.key and not address.key.endswith("/")):
        try:
            look(address)
        except StorageError as error:
            if address.is_web or error.code is not FailureCode.SOURCE_MISSING:
                raise
        else:
            return
    next(list_objects(address), None)


def _open_once(path: Path) -> None:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        os.scandir(path).close()
    elif not stat.S_ISREG(mode):
        raise ConfigError(f"source {shown_path(path)}: is neither a file nor a folder")
    elif is_list(path):
        next(iter(entries_of(path)), None)


def is_list(path: Path) -> bool:
    """Whether a source of this name lists the paths of others; a folder never does."""
    ending = path.suffix.lower()
    is_named_so = (ending in _PLAIN_ENDINGS or ending in TABLES) and not is_remote(path)
    return path == STANDARD_INPUT or (is_named_so and not path.is_dir())


def is_remote(source: Path) -> bool:
    """Whether a source is an address of a bucket or a web server."""
    return is_address(os.fspath(source))


def is_folder(source: Path) -> bool:
    """Whether a source is a folder of this machine; never asks the system for an address."""
    return not is_remote(source) and source.is_dir()


def may_have_rows(path: Path) -> bool:
    """Whether a source may be a list whose rows have prompts of their own."""
    return path == STANDARD_INPUT or path.suffix.lower() in TABLES


def absolute(source: Path) -> Path:
    """The source as an absolute path; standard input and addresses stay as they are."""
    return source if source == STANDARD_INPUT or is_remote(source) else source.absolute()


def base_of(source: Path) -> Path:
    """The folder from which relative paths in a list start."""
    return Path.cwd() if source == STANDARD_INPUT else source.parent


def past_roots(folder: Path) -> list[str]:
    """The folders to which names in an output folder are relative, the earliest run's first.

    Blocks.
    """
    near = [source for source in past_sources(folder) if not is_address(source)]
    return list(dict.fromkeys(_root(Path(source).absolute()) for source in near))


def _root(source: Path) -> str:
    is_folder = source.is_dir() and not is_list(source)
    return os.fspath(source if is_folder else source.parent)


def entries_of(source: Path) -> Iterator[Entry | BadRow]:
    """The entries of a list, in order. Blocks.

    Raises:
        ConfigError: the list cannot be read, or is not a list.
    """
    path, ending = source, source.suffix.lower()
    if source == STANDARD_INPUT:
        path, ending = kept_standard_input()
    if ending in TABLES:
        yield from table_entries(path, ending)
    else:
        yield from map(Entry, list_entries(path))


def list_entries(path: Path) -> Iterator[str]:
    """The paths in a list, as written, without blank lines and # comments. Blocks.

    Entries end at a NUL if the file holds one (`find -print0`), else at the line's end.

    Raises:
        ConfigError: the list cannot be read, or is not a list.
    """
    try:
        is_text = not _holds_nul(path)
        for ordinal, entry in enumerate(_pieces(path, b"\n" if is_text else b"\0")):
            name = _line(entry, is_first=not ordinal) if is_text else entry
            if name:
                yield os.fsdecode(name)
    except OSError as error:
        raise ConfigError(f"list {shown_path(path)}: {error.strerror}") from None


def _line(entry: bytes, *, is_first: bool) -> bytes:
    line = entry.removeprefix(_BYTE_ORDER_MARK) if is_first else entry
    is_passed_over = line.isspace() or line.startswith(b"#")
    return b"" if is_passed_over else line.removesuffix(b"\r")


def _holds_nul(path: Path) -> bool:
    return any(b"\0" in chunk for chunk in _chunks(path))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _pieces(path: Path, separator: bytes) -> Iterator[bytes]:
    rest = b""
    for chunk in _chunks(path):
        *whole, rest = (rest + chunk).split(separator)
        yield from whole
        if len(rest) > _MAX_ENTRY_BYTES:
            raise ConfigError(f"list {shown_path(path)}: no path is that long: is this a list?")
    yield rest
