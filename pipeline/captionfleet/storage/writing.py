"""Writes, reads and removes whole objects, with retries and deadlines (main process)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Literal, TypeVar

import anyio
import anyio.to_thread

from captionfleet.errors import FailureCode
from captionfleet.messages.address import Address
from captionfleet.storage.errors import StorageError, explained
from captionfleet.storage.objects import TRY_S, retried
from captionfleet.storage.stores import library, store_for

__all__ = ["PART_BYTES", "read_object", "remove_object", "write_object"]

PART_BYTES = 8 * 2**20
"""S3 takes parts from 5 MiB on, and 10,000 of them: objects of up to 80 GB."""
_PARTS_AT_ONCE = 2  # each is held in memory
_SLOWEST_BYTES_PER_S = 256 * 2**10  # a slower line does not keep a copy current
_MISSING_BUCKET = "the bucket does not exist"

T = TypeVar("T")
Chunks = Callable[[], AsyncIterator[bytes]]


async def write_object(
    address: Address,
    body: bytes | Chunks,
    size_bytes: int,
    *,
    mode: Literal["overwrite", "create"] = "overwrite",
) -> None:
    """Write or replace a whole object; readers see the old one or the new one.

    `body` is the object, or a function that gives its chunks again for each try. With "create",
    which takes only bytes, the object must not exist.

    Raises:
        StorageError: it was refused, or every try failed.
    """

    async def write(store: Any) -> None:
        content = body if isinstance(body, bytes) else body()
        await library().put_async(
            store,
            address.key,
            content,
            mode=mode,
            chunk_size=PART_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        )

    within_s = TRY_S + size_bytes / _SLOWEST_BYTES_PER_S
    try:
        await _patiently(address, write, "write there", within_s)
    except StorageError as error:
        if error.code is FailureCode.SOURCE_MISSING:
            raise StorageError(error.code, _MISSING_BUCKET) from None
        raise


async def read_object(address: Address, most_bytes: int) -> bytes | None:
    """A small object; None if it does not exist.

    Raises:
        StorageError: it is larger, may not be read, or no answer was complete.
    """

    async def read(store: Any) -> bytes:
        got = await library().get_async(store, address.key)
        if got.meta["size"] > most_bytes:
            raise StorageError(FailureCode.SOURCE_UNREADABLE, "it is larger than expected")
        return bytes(await got.bytes_async())

    try:
        return await _patiently(address, read, "read there", TRY_S)
    except StorageError as error:
        if error.code is FailureCode.SOURCE_MISSING:
            return None
        raise


async def remove_object(address: Address) -> None:
    """Remove an object, which may be gone.

    Raises:
        StorageError: that was refused, or every try failed.
    """

    async def remove(store: Any) -> None:
        await library().delete_async(store, address.key)

    try:
        await _patiently(address, remove, "delete there", TRY_S)
    except StorageError as error:
        if error.code is not FailureCode.SOURCE_MISSING:
            raise


async def _patiently(
    address: Address, ask: Callable[[Any], Awaitable[T]], doing: str, within_s: float
) -> T:
    store = await anyio.to_thread.run_sync(store_for, address)
    return await retried(partial(_once, store, address, ask, doing), within_s)


async def _once(store: Any, address: Address, ask: Callable[[Any], Awaitable[T]], doing: str) -> T:
    try:
        return await ask(store)
    except StorageError:
        raise
    except Exception as error:  # noqa: BLE001 - classified by type
        raise explained(error, library().exceptions, address.scheme, doing=doing) from None
