"""Keeps the media store within its size limit by evicting the least recently used (main process).

The files of an entry that a clip holds have a second name, from this run or another. Removing such
an entry frees nothing, and it is used again soon, so it stays.
"""

import heapq
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from captionfleet.ledger.stored_media import DRAFT_ENDING, FACTS_ENDING
from captionfleet.messages import MEDIA_ENDINGS

__all__ = ["Entry", "choose_victims", "entries", "evict", "stored_bytes"]

_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Entry:
    """The files of one key; `base` is their common path, without an ending."""

    base: str
    size_bytes: int
    used_ns: int
    is_held: bool


def choose_victims(found: Iterable[Entry], excess_bytes: int) -> list[Entry]:
    """The fewest least recently used entries that free `excess_bytes`, oldest first.

    Memory depends on the number of victims, not of entries.
    """
    if excess_bytes <= 0:
        return []
    chosen: list[tuple[int, str, Entry]] = []  # a heap, the newest on top
    freed_bytes = 0
    for entry in found:
        if entry.is_held:
            continue
        heapq.heappush(chosen, (-entry.used_ns, entry.base, entry))
        freed_bytes += entry.size_bytes
        while freed_bytes - chosen[0][2].size_bytes >= excess_bytes:
            freed_bytes -= heapq.heappop(chosen)[2].size_bytes
    return [entry for _, _, entry in sorted(chosen, reverse=True)]


def entries(store: Path) -> Iterator[Entry]:
    """All entries of the store, in any order; skips files that vanish meanwhile.

    Raises:
        OSError: the store cannot be read.
    """
    with os.scandir(store) as shards:
        for shard in shards:
            if _is_shard(shard):
                yield from _entries_of(shard.path)


def _is_shard(found: os.DirEntry[str]) -> bool:
    """Whether it is a real folder of entries; a link could lead to files outside the store."""
    is_named_so = len(found.name) == len("ab") and _HEX.issuperset(found.name)
    return is_named_so and found.is_dir(follow_symlinks=False)


def _entries_of(shard: str) -> Iterator[Entry]:
    files: dict[str, list[os.stat_result]] = {}
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(shard) as found:
        for file in found:
            with suppress(FileNotFoundError):
                facts = file.stat(follow_symlinks=False)
                files.setdefault(file.path.rpartition(".")[0], []).append(facts)
    for base, found_facts in files.items():
        yield Entry(
            base,
            sum(one.st_size for one in found_facts),
            max(one.st_mtime_ns for one in found_facts),
            any(one.st_nlink > 1 for one in found_facts),
        )


def stored_bytes(store: Path) -> int:
    """The size of all entries.

    Raises:
        OSError: the store cannot be read.
    """
    return sum(entry.size_bytes for entry in entries(store))


def evict(store: Path, excess_bytes: int) -> int:
    """Remove entries until `excess_bytes` are freed, or none is left; return the bytes freed.

    Raises:
        OSError: the store cannot be read or written.
    """
    victims = choose_victims(entries(store), excess_bytes)
    for victim in victims:
        # An entry without facts does not exist. Drafts are left by killed runs.
        for ending in (FACTS_ENDING, *MEDIA_ENDINGS, DRAFT_ENDING):
            Path(victim.base + ending).unlink(missing_ok=True)
    return sum(victim.size_bytes for victim in victims)
