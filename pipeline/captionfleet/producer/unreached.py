"""Keeps failures of files that a run's sources do not include (main process)."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from captionfleet.config import InputConfig
from captionfleet.ledger.files.reading import text_in
from captionfleet.ledger.past_lines import failures_in
from captionfleet.ledger.settled import Settled
from captionfleet.messages.address import is_address, parse_address
from captionfleet.names import name_bytes
from captionfleet.producer.identity.clips import ids_of
from captionfleet.producer.sources import is_folder, is_remote

__all__ = ["keep_failures_elsewhere"]

_LOOK_S = 30.0


async def keep_failures_elsewhere(
    config: InputConfig, requests: Collection[str], settled: Settled
) -> None:
    """Keep failures of these requests for unchanged files outside the sources.

    A run knows nothing of files outside its sources. Files that cannot be checked in time, as on a
    dead disk, count as gone.
    """
    with anyio.move_on_after(_LOOK_S):
        await anyio.to_thread.run_sync(_keep, config, requests, settled, abandon_on_cancel=True)


def _keep(config: InputConfig, requests: Collection[str], settled: Settled) -> None:
    if settled.folder is None:
        return
    folders = [source for source in config.sources if is_folder(source)]
    walked = [folder.absolute() for folder in folders] + [folder.resolve() for folder in folders]
    far = [parse_address(os.fspath(one)).shown for one in config.sources if is_remote(one)]
    for identity, _, record in failures_in(settled.folder):
        path, request = name_bytes(record, "path"), text_in(record, "request")
        if path is None or request not in requests:
            continue
        if is_address(os.fsdecode(path)):
            if not _is_of(os.fsdecode(path), far):
                settled.keep(identity, request)  # the files were not checked
        elif not _is_below(path, walked) and _is_unchanged(path, record):
            settled.keep(identity, request)


def _is_below(path: bytes, folders: Collection[Path]) -> bool:
    return any(Path(os.fsdecode(path)).is_relative_to(folder) for folder in folders)


def _is_of(address: str, sources: Collection[str]) -> bool:
    return any(address == one or address.startswith(one + "/") for one in sources)


def _is_unchanged(path: bytes, record: dict[str, Any]) -> bool:
    """Whether the clip would have the same id, by the present rule or that of version 0.1.0."""
    name, own = name_bytes(record, "source"), {record["clip_id"], record.get("stat_id")}
    try:
        facts = Path(os.fsdecode(path)).stat()
        return not own.isdisjoint(ids_of(os.path.realpath(path), name or b"", facts, record))
    except (OSError, ValueError, KeyError, TypeError):
        return False
