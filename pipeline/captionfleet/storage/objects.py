"""Looks up and reads objects, with retries and deadlines (main process)."""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from captionfleet.errors import FailureCode
from captionfleet.messages.address import Address
from captionfleet.storage.errors import StorageError, explained
from captionfleet.storage.stores import library, store_for
from captionfleet.telemetry import monotonic_s

__all__ = [
    "PAUSES_S",
    "TRY_S",
    "ObjectFacts",
    "facts_of",
    "jitter",
    "look",
    "read_range",
    "retried",
    "version_of",
]

PAUSES_S = (0.2, 1.0, 3.0)
"""Before each further try, besides the library's own retries within a few seconds."""
# A look-up transfers one byte, and a list may name thousands of objects on a dead server.
_LOOK_REQUEST_S, _LOOK_S = 15.0, 30.0
TRY_S = 90.0  # above the library's own 60 s for a request

_QUOTE = '"'

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """One version of an object; `version` is a hash of its ETag, or else of its time.

    `time_version` is a hash of the time of a file behind a URL that also has an ETag; else 0.
    """

    size_bytes: int
    version: int
    time_version: int = 0

    def is_same(self, other: "ObjectFacts") -> bool:
        """Whether both are one version; replicas of a web server may have different ETags."""
        is_as_old = self.time_version == other.time_version != 0
        return self.size_bytes == other.size_bytes and (self.version == other.version or is_as_old)


def look(address: Address) -> ObjectFacts:
    """Ask for an object's size and version. Blocks.

    Raises:
        StorageError: the object does not exist, or may not be read.
    """
    return _patiently(lambda: _look(address), address.scheme)


def _look(address: Address) -> ObjectFacts:
    store, name = store_for(address, _LOOK_REQUEST_S), _name(address)
    obstore = library()
    # Not HEAD: an address may be signed for GET only. Fetching a byte also shows that ranges work.
    try:
        meta = obstore.get(store, name, options={"range": (0, 1)}).meta
    except (obstore.exceptions.GenericError, obstore.exceptions.PreconditionError):
        meta = obstore.head(store, name)  # an empty object has no first byte
    return facts_of(meta, scheme=address.scheme)


async def read_range(address: Address, facts: ObjectFacts, start: int, end: int) -> bytes:
    """The bytes of this version from `start` up to `end`.

    Raises:
        StorageError: the object is gone, changed or refused, or no answer was whole.
    """
    store = await anyio.to_thread.run_sync(store_for, address)
    return await retried(partial(_read_whole, store, address, facts, start, end), TRY_S)


async def retried(ask: Callable[[], Awaitable[T]], within_s: float) -> T:
    """The answer of a storage, asked again after a pause where a failure may pass.

    Args:
        ask: Asks once.
        within_s: The deadline of one try.

    Raises:
        StorageError: every try failed, or one failed for good.
    """
    for pause_s in PAUSES_S:
        try:
            return await _in_time(ask, within_s)
        except StorageError as error:
            if not error.may_pass:
                raise
        await anyio.sleep(pause_s * jitter())
    return await _in_time(ask, within_s)


async def _in_time(ask: Callable[[], Awaitable[T]], within_s: float) -> T:
    try:
        with anyio.fail_after(within_s):
            return await ask()
    except TimeoutError:
        words = f"no whole answer from the storage within {within_s:.0f} s"
        raise StorageError(FailureCode.SOURCE_UNREADABLE, words, may_pass=True) from None


async def _read_whole(
    store: Any, address: Address, facts: ObjectFacts, start: int, end: int
) -> bytes:
    got, body = await _read(store, address, start, end)
    if not facts.is_same(got):
        raise StorageError(FailureCode.SOURCE_CHANGED, "the object changed since it was found")
    if len(body) != end - start:
        raise StorageError(FailureCode.SOURCE_UNREADABLE, "an answer ended early", may_pass=True)
    return body


async def _read(store: Any, address: Address, start: int, end: int) -> tuple[ObjectFacts, bytes]:
    obstore = library()
    try:
        got = await obstore.get_async(store, _name(address), options={"range": (start, end)})
        return facts_of(got.meta, scheme=address.scheme), bytes(await got.bytes_async())
    except Exception as error:  # noqa: BLE001 - classified by type
        raise explained(error, obstore.exceptions) from None


def _patiently(ask: Callable[[], T], scheme: str) -> T:
    exceptions: Any = library().exceptions
    until_s = monotonic_s() + _LOOK_S
    for pause_s in (*PAUSES_S, None):
        try:
            return ask()
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - classified by type
            problem = explained(error, exceptions, scheme)
            if pause_s is None or not problem.may_pass or monotonic_s() > until_s:
                raise problem from None
        time.sleep(pause_s * jitter())
    raise AssertionError


def jitter() -> float:
    """A random factor for a pause, so that requests that failed together do not return together."""
    return random.uniform(0.5, 1.5)  # noqa: S311 - guards nothing


def _name(address: Address) -> str:
    return "" if address.is_web else address.key


def facts_of(meta: Any, *, scheme: str) -> ObjectFacts:
    """The library's metadata of an object as facts.

    A bucket's ETag depends on the object's content, or changes with it. A web server's may depend
    on an inode, for example, and differ between replicas, which then share the time.
    """
    etag, changed = meta["e_tag"], meta["last_modified"]
    if scheme == "az" and etag:  # Azure's listings omit the quotes
        etag = f'"{etag.strip(_QUOTE)}"'
    has_both = (
        scheme in {"http", "https"} and etag and changed and changed.timestamp() > 0
    )  # 0: the server gave none
    by_time = version_of(None, changed) if has_both else 0
    return ObjectFacts(int(meta["size"]), version_of(etag, changed), by_time)


def version_of(etag: str | None, changed: datetime | None) -> int:
    """A number that differs between versions of an object."""
    mark = etag or (changed.isoformat() if changed else "")
    return int.from_bytes(blake2b(mark.encode(), digest_size=8).digest()) >> 1
