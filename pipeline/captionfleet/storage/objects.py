"""Looks at, lists and reads objects, with retries and deadlines (main process)."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from captionfleet.errors import FailureCode
from captionfleet.messages.address import Address
from captionfleet.storage.errors import StorageError
from captionfleet.storage.stores import library, store_for

__all__ = ["Listed", "ObjectFacts", "list_objects", "look", "read_range"]

_PAGE_OBJECTS = 1000  # as many as S3 puts into one answer
_PAUSES_S = (0.2, 1.0, 3.0)
_READ_S = 90.0  # above the library's own 60 s for a request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """One version of an object; `version` is a number made of its ETag, else of its time."""

    size_bytes: int
    version: int


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing; `key` is its whole name in the bucket."""

    key: str
    facts: ObjectFacts


def look(address: Address) -> ObjectFacts:
    """Ask for an object's size and version. Blocks.

    Raises:
        StorageError: it is not there, or may not be read.
    """
    return _patiently(lambda: _look(address))


def _look(address: Address) -> ObjectFacts:
    store, name = store_for(address), _name(address)
    obstore = library()
    # Not HEAD: a signed address is signed for GET alone. A byte also shows that parts can be had.
    try:
        return _facts(obstore.get(store, name, options={"range": (0, 1)}).meta)
    except (obstore.exceptions.GenericError, obstore.exceptions.PreconditionError):
        return _facts(obstore.head(store, name))  # an empty object has no first byte


def list_objects(address: Address) -> Iterator[Listed]:
    """The objects below an address, in the bucket's order, page by page. Blocks.

    Raises:
        StorageError: the bucket is not there, or may not be listed.
    """
    store, obstore = store_for(address), library()
    try:
        prefix = address.key.strip("/") or None
        for page in obstore.list(store, prefix, chunk_size=_PAGE_OBJECTS):
            for found in page:
                yield Listed(found["path"], _facts(found))
    except Exception as error:  # noqa: BLE001 - classified by type
        raise _explained(error, obstore.exceptions) from None


async def read_range(address: Address, facts: ObjectFacts, start: int, end: int) -> bytes:
    """The bytes of this very version from `start` up to `end`.

    Raises:
        StorageError: the object is gone, changed or refused, or no answer was whole.
    """
    store = await anyio.to_thread.run_sync(store_for, address)
    for pause_s in _PAUSES_S:
        try:
            return await _in_time(store, address, facts, start, end)
        except StorageError as error:
            if not error.may_pass:
                raise
        await anyio.sleep(pause_s * _jitter())
    return await _in_time(store, address, facts, start, end)


async def _in_time(store: Any, address: Address, facts: ObjectFacts, start: int, end: int) -> bytes:
    try:
        with anyio.fail_after(_READ_S):
            got, body = await _read(store, address, start, end)
    except TimeoutError:
        words = f"no whole answer from the storage within {_READ_S:g} s"
        raise StorageError(FailureCode.SOURCE_UNREADABLE, words, may_pass=True) from None
    if got != facts:
        raise StorageError(FailureCode.SOURCE_CHANGED, "the object changed since it was found")
    if len(body) != end - start:
        raise StorageError(FailureCode.SOURCE_UNREADABLE, "an answer ended early", may_pass=True)
    return body


async def _read(store: Any, address: Address, start: int, end: int) -> tuple[ObjectFacts, bytes]:
    obstore = library()
    try:
        got = await obstore.get_async(store, _name(address), options={"range": (start, end)})
        return _facts(got.meta), bytes(await got.bytes_async())
    except Exception as error:  # noqa: BLE001 - classified by type
        raise _explained(error, obstore.exceptions) from None


def _patiently(ask: Callable[[], T]) -> T:
    exceptions: Any = library().exceptions
    for pause_s in (*_PAUSES_S, None):
        try:
            return ask()
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - classified by type
            problem = _explained(error, exceptions)
            if pause_s is None or not problem.may_pass:
                raise problem from None
        time.sleep(pause_s * _jitter())
    raise AssertionError


def _jitter() -> float:
    return random.uniform(0.5, 1.5)  # noqa: S311 - guards nothing


def _name(address: Address) -> str:
    return "" if address.is_web else address.key


def _facts(meta: Any) -> ObjectFacts:
    changed = meta["last_modified"]
    mark = meta["e_tag"] or (changed.isoformat() if changed else "")
    version = int.from_bytes(blake2b(mark.encode(), digest_size=8).digest()) >> 1
    return ObjectFacts(int(meta["size"]), version)


def _explained(error: Exception, exceptions: Any) -> StorageError:
    """The error by its type alone, in words that quote nothing."""
    if isinstance(error, FileNotFoundError | exceptions.NotFoundError):
        return StorageError(FailureCode.SOURCE_MISSING, "no such object")
    if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
        words = "access denied: do the credentials in use allow to read it?"
        return StorageError(FailureCode.SOURCE_UNREADABLE, words)
    if isinstance(error, exceptions.NotSupportedError):
        words = "the server sends no part of a file alone (no range requests)"
        return StorageError(FailureCode.SOURCE_UNREADABLE, words)
    words = "no whole answer from the storage, several times"
    return StorageError(FailureCode.SOURCE_UNREADABLE, words, may_pass=True)
