"""Walks buckets, and looks up the objects that lists name (main process, in a thread)."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from captionfleet.errors import ConfigError, FailureCode
from captionfleet.messages import NO_ROW, Row, Source
from captionfleet.messages.address import Address, parse_address
from captionfleet.producer.walking.claims import Claims
from captionfleet.producer.walking.found import Found, Unusable, source_of
from captionfleet.producer.walking.passed_over import PassedOver, Selection
from captionfleet.storage import ODD_NAME, Listed, ObjectFacts, StorageError, list_objects, look

__all__ = ["Buckets", "looked_at"]

# Each look-up waits for a server, so many run at once; this many are looked up before the first is
# yielded.
_LOOKS = 16
_LOOKED_AT = 64


class Buckets:
    """The bucket prefixes that a job names; an object in several belongs to the first."""

    def __init__(self, selection: Selection, claims: Claims, sources: Iterable[Path]) -> None:
        self._selection, self._claims = selection, claims
        self._roots: list[Address] = []
        self._ahead = [parse_address(os.fspath(one)) for one in sources]

    def walk(self, address: Address) -> Iterator[Found | PassedOver]:
        """The videos of a source in the bucket's order, and why others are passed over. Blocks.

        Raises:
            ConfigError: it cannot be listed.
        """
        try:
            if (single := _single(address)) is not None:
                yield self._first(address, single)
            else:
                for listed in list_objects(address):
                    yield self._taken(address, listed)
        except StorageError as error:
            raise ConfigError(f"source {address.shown}: {error.detail}") from None
        self._roots.append(address)

    def takes(self, address: Address) -> bool:
        """Whether a prefix among the sources covers this object."""
        return any(self._reason(root, address) is None for root in self._ahead)

    def _taken(self, root: Address, listed: Listed) -> Found | PassedOver:
        found = _below(root, listed.key)
        if reason := self._reason(root, found):
            return reason
        if self._is_before(found):
            return PassedOver.DUPLICATE
        if not listed.facts.size_bytes:
            return PassedOver.EMPTY
        source = _source(found, _relative(root, found), root.shown, listed.facts)
        if any(map(self._claims.was_named, version_names(source))):
            return PassedOver.DUPLICATE
        if listed.is_odd:
            return Unusable(source, FailureCode.SOURCE_UNREADABLE, ODD_NAME)
        return source

    def _first(self, address: Address, single: Found) -> Found | PassedOver:
        names = version_names(source_of(single))
        is_first = all([self._claims.name_file(name) for name in names])  # noqa: C419 - each
        return single if is_first and not self._is_before(address) else PassedOver.DUPLICATE

    def _is_before(self, found: Address) -> bool:
        return any(self._reason(earlier, found) is None for earlier in self._roots)

    def _reason(self, root: Address, found: Address) -> PassedOver | None:
        """Why an object is not captioned; None if it is."""
        if (root.scheme, root.bucket) != (found.scheme, found.bucket) or root.is_web:
            return None if root == found else PassedOver.NOT_VIDEO
        if root.key.strip("/") == found.key:
            return None
        prefix = root.key.strip("/")
        if prefix and not found.key.startswith(prefix + "/"):
            return PassedOver.NOT_VIDEO
        relative = _relative(root, found)
        *folders, name = relative.split("/")
        for depth, folder in enumerate(folders, 1):
            if reason := self._selection.folder_reason(folder, "/".join(folders[:depth])):
                return reason
        return self._selection.file_reason(name, relative)


def looked_at(rows: Iterable[tuple[Address, Row]], root: str) -> Iterator[Found]:
    """The objects at the addresses of a list's rows, in the rows' order. Blocks."""
    left = iter(rows)
    with ThreadPoolExecutor(_LOOKS) as pool:
        while some := list(islice(left, _LOOKED_AT)):
            # Neighbouring rows are often windows of one film.
            addresses = list(dict.fromkeys(address for address, _ in some))
            seen = dict(zip(addresses, pool.map(_look, addresses), strict=True))
            for address, row in some:
                yield _found(address, row, root, seen[address])


def version_names(source: Source) -> tuple[str, ...]:
    """The key that claims an object: two differently signed addresses may name one file."""
    versions = (source.mtime_ns, *([source.time_version] if source.time_version else []))
    return tuple(f"{source.known_path}#{source.size_bytes}-{one}" for one in versions)


def _look(address: Address) -> ObjectFacts | StorageError:
    try:
        return look(address)
    except StorageError as error:
        return error


def _found(address: Address, row: Row, root: str, seen: ObjectFacts | StorageError) -> Found:
    if isinstance(seen, StorageError):
        source = _source(address, address.shown, root, ObjectFacts(0, 0), row)
        return Unusable(source, seen.code, seen.detail)
    source = _source(address, address.shown, root, seen, row)
    if not seen.size_bytes:
        return Unusable(source, FailureCode.EMPTY_FILE, "0 bytes")
    return source


def _single(address: Address) -> Found | None:
    """The object of exactly this address; None if objects may lie below it.

    Raises:
        StorageError: it may not be read, or does not exist and can have nothing below it.
    """
    if not address.is_web and (not address.key or address.key.endswith("/")):
        return None
    try:
        facts = look(address)
    except StorageError as error:
        if error.code is FailureCode.SOURCE_MISSING and not address.is_web:
            return None
        raise
    folder, _, name = address.shown.rpartition("/")
    source = _source(address, name, folder, facts)
    return source if facts.size_bytes else Unusable(source, FailureCode.EMPTY_FILE, "0 bytes")


def _below(root: Address, key: str) -> Address:
    shown = f"{root.scheme}://{root.bucket}/{key}"
    return Address(root.scheme, root.bucket, key, shown, shown)


def _relative(root: Address, found: Address) -> str:
    return found.key[len(root.key.strip("/")) :].lstrip("/")


def _source(
    address: Address, name: str, root: str, facts: ObjectFacts, row: Row = NO_ROW
) -> Source:
    opens = address.opens if address.opens != address.shown else ""
    return Source(
        path=address.shown,
        name=name,
        size_bytes=facts.size_bytes,
        mtime_ns=facts.version,
        root=root,
        real_path=address.shown,
        row=row,
        opens=opens,
        time_version=facts.time_version,
    )
