"""Lists objects page by page, and resumes where a page was lost (main process)."""

import importlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from captionfleet.errors import FailureCode
from captionfleet.messages.address import Address
from captionfleet.storage.errors import StorageError, explained
from captionfleet.storage.objects import PAUSES_S, ObjectFacts, facts_of, jitter, version_of
from captionfleet.storage.stores import CONNECT_S, REQUEST_S, library, store_for

__all__ = ["Listed", "list_objects"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PAGE_OBJECTS = 1000  # the size of a page of S3
_NO_LISTING = (
    "it cannot be listed: is there such a bucket, may the credentials list it, and are its region "
    "and endpoint right?"
)
_ODD_LISTING = (
    "an object in it has a name with an empty part (//), a part . or .. or a control character, "
    "which obstore cannot list: name the folders without such objects, or list the others in a file"
)


_Listing = Callable[[Address, str], "Iterator[Listed]"]


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing; `key` is its whole name in the bucket.

    `is_odd` says that the library cannot open an object of this name.
    """

    key: str
    facts: ObjectFacts
    is_odd: bool = False


def list_objects(address: Address) -> Iterator[Listed]:
    """The objects below an address, in the bucket's order, page by page. Blocks.

    Raises:
        StorageError: the bucket does not exist, or may not be listed.
    """
    exceptions: Any = library().exceptions
    list_on: _Listing = _by_library
    last, pauses_s = "", iter(PAUSES_S)
    while True:
        try:
            for found in list_on(address, last):
                last, pauses_s = found.key, iter(PAUSES_S)
                yield found
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - classified by type
            if isinstance(error, exceptions.InvalidPathError):
                list_on = _for_odd_names(address)
                continue
            problem, pause_s = explained(error, exceptions), next(pauses_s, None)
            if pause_s is None or not problem.may_pass:
                detail = _NO_LISTING if problem.may_pass else problem.detail
                raise StorageError(problem.code, detail) from None
            time.sleep(pause_s * jitter())
        else:
            return


def _by_library(address: Address, last: str) -> Iterator[Listed]:
    pages = library().list(
        store_for(address), _prefix(address) or None, offset=last or None, chunk_size=_PAGE_OBJECTS
    )
    for page in pages:
        for found in page:
            yield Listed(found["path"], facts_of(found, scheme=address.scheme))


def _for_odd_names(address: Address) -> _Listing:
    """A second way to list a bucket that holds a name that the library refuses.

    Raises:
        StorageError: there is no second way.
    """
    try:
        boto3 = importlib.import_module("boto3") if address.scheme == "s3" else None
    except ImportError:
        boto3 = None
    if boto3 is None:
        raise StorageError(FailureCode.SOURCE_UNREADABLE, _ODD_LISTING)
    return _by_boto3


def _by_boto3(address: Address, last: str) -> Iterator[Listed]:
    boto3: Any = importlib.import_module("boto3")
    config: Any = importlib.import_module("botocore.config").Config(
        connect_timeout=CONNECT_S, read_timeout=REQUEST_S
    )
    prefix = _prefix(address)
    pages = (
        boto3.client("s3", config=config)
        .get_paginator("list_objects_v2")
        .paginate(Bucket=address.bucket, Prefix=f"{prefix}/" if prefix else "", StartAfter=last)
    )
    for page in pages:
        for found in page.get("Contents", ()):
            facts = ObjectFacts(found["Size"], version_of(found["ETag"], found["LastModified"]))
            yield Listed(found["Key"], facts, is_odd=_is_odd(found["Key"]))


def _prefix(address: Address) -> str:
    return address.key.strip("/")


def _is_odd(key: str) -> bool:
    parts = key.removesuffix("/").split("/")
    return _CONTROL.search(key) is not None or not {"", ".", ".."}.isdisjoint(parts)
