"""Reads which copy of an output folder a bucket holds (main process)."""

import anyio.to_thread

from captionfleet.errors import FailureCode
from captionfleet.ledger.copying.deciding import Copied, copied_from
from captionfleet.ledger.copying.files import is_copied
from captionfleet.ledger.files.names import COPY
from captionfleet.ledger.files.reading import record_of
from captionfleet.messages.address import Address
from captionfleet.storage import StorageError, list_objects, look, read_object

__all__ = ["is_there", "listing_problem", "read_record"]

_MOST_RECORD_BYTES = 2**24  # a hundred thousand runs


async def read_record(address: Address) -> Copied | None:
    """The record of the copy below this address; None if there is none.

    Raises:
        StorageError: the bucket cannot be reached, or another program wrote the record.
    """
    raw = await read_object(address.below(COPY), _MOST_RECORD_BYTES)
    if raw is None:
        return None
    record = copied_from(record_of(raw), is_copied)
    if record is None:
        detail = f"{COPY} there was not written by this program: name another prefix"
        raise StorageError(FailureCode.SOURCE_UNREADABLE, detail)
    return record


async def is_there(address: Address) -> bool:
    """Whether the bucket holds this object, with at least a byte.

    Raises:
        StorageError: the bucket cannot be reached, or refuses.
    """
    try:
        facts = await anyio.to_thread.run_sync(look, address)
    except StorageError as error:
        if error.code is FailureCode.SOURCE_MISSING:
            return False
        raise
    return facts.size_bytes > 0


def listing_problem(address: Address) -> str:
    """Why the bucket cannot be listed: it may not exist. Empty if it can. Blocks.

    An object in a bucket that does not exist is only missing to those who read it.
    """
    try:
        next(list_objects(address), None)
    except StorageError as error:
        return error.detail
    return ""
