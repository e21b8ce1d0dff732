"""Prepares clips on a node, in the same worker processes as on one machine (node of a cluster).

Runs in a process of Ray, which gets one clip at a time, in a thread that lives as long as the
process: a worker process ends with the thread that started it.
"""

import atexit
import os
import pickle
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal

from captionfleet.errors import MachineError, StoreError
from captionfleet.media.orders import Order, Prepared, Refused, Report, StoreTrouble
from captionfleet.messages import Source
from captionfleet.messages.address import is_address
from captionfleet.telemetry import monotonic_s
from captionfleet.workers.cluster.parcels import (
    Done,
    Failed,
    Misreported,
    Parcel,
    Reply,
    SentFile,
    TooSlow,
    Unable,
    Unseen,
    possible_files,
)
from captionfleet.workers.process import WorkerDied, WorkerProcess
from captionfleet.workers.shelf import Shelf
from captionfleet.workers.taking import NotAsReportedError, taken
from captionfleet.workers.workspace import Corner, clear_dead

__all__ = ["prepare"]


def prepare(packed: bytes) -> tuple[bytes, bytes]:
    """Prepare the clip of a pickled `Parcel`; return a pickled `Reply`, and the media's bytes."""
    parcel = pickle.loads(packed)  # noqa: S301 - from the run, over the cluster's own channels
    assert isinstance(parcel, Parcel)  # noqa: S101 - nothing else is sent
    reply, media = _portal().call(_bench(parcel.confine).prepare, parcel)
    return pickle.dumps(reply), media


@cache
def _portal() -> BlockingPortal:
    opened = start_blocking_portal()
    portal = opened.__enter__()
    atexit.register(opened.__exit__, None, None, None)
    return portal


@cache
def _bench(confine: str) -> "_Bench":
    return _portal().call(_Bench, confine)


class _Bench:
    """One worker process and its folder, which the next process removes if this one dies."""

    def __init__(self, confine: str) -> None:
        self._worker = WorkerProcess(confine="none" if confine == "none" else "auto")
        corners = Path(tempfile.gettempdir()) / f"captionfleet-{os.getuid()}"
        self._corner = Corner(corners)
        clear_dead(self._corner.folder.parent)
        atexit.register(self._corner.clear)
        self._drafts = self._corner.folder / "worker"
        self._kept = self._corner.folder / "kept"
        self._kept.mkdir()

    async def prepare(self, parcel: Parcel) -> tuple[Reply, bytes]:
        """Prepare one clip; the reply holds the result, or the reason for none."""
        if parcel.checks_source and (why := await to_thread.run_sync(_unseen, parcel.order)):
            return Unseen(why), b""
        started_s = monotonic_s()
        try:
            report, media = await self._made(parcel)
        except (TimeoutError, WorkerDied, NotAsReportedError, MachineError, StoreError) as error:
            return self._excuse(error, monotonic_s() - started_s), b""
        except OSError as error:
            return self._excuse(StoreError(0, str(error.strerror)), 0.0), b""
        files, parts = zip(*media, strict=True) if media else ((), ())
        return Done(report, tuple(files), monotonic_s() - started_s), b"".join(parts)

    async def _made(self, parcel: Parcel) -> tuple[Report, list[tuple[SentFile, bytes]]]:
        if not self._worker.is_started:
            await to_thread.run_sync(self._clear_drafts)
        order = replace(parcel.order, hold=str(self._drafts / Path(parcel.order.hold).name))
        with anyio.fail_after(parcel.clip_timeout_s):
            report = await self._worker.work_on(order)
        try:
            media = await self._taken(order, report)
        except NotAsReportedError:
            await self._worker.kill()
            raise
        is_worn = report.clips_done >= parcel.recycle_clips
        if is_worn or report.rss_bytes > parcel.recycle_bytes:
            await self._worker.retire()
        return report, media

    def _excuse(self, error: Exception, busy_s: float) -> Reply:
        """The reason why there are no media, for the run."""
        match error:
            case TimeoutError():
                return TooSlow(busy_s)
            case WorkerDied():
                return Failed(error.returncode, busy_s)
            case NotAsReportedError():
                return Misreported(str(error), busy_s)
            case StoreError():
                return Unable(f"cannot write to {self._corner.folder}: {error.reason}")
            case _:
                return Unable(str(error))

    def _clear_drafts(self) -> None:
        shutil.rmtree(self._drafts, ignore_errors=True)
        self._drafts.mkdir(exist_ok=True)

    async def _taken(self, order: Order, report: Report) -> list[tuple[SentFile, bytes]]:
        match report.result:
            case Prepared():
                return await to_thread.run_sync(self._take, order)
            case Refused():
                return []
            case StoreTrouble():
                await Shelf(self._corner.folder, [order.spec]).require_room(order)
                raise NotAsReportedError("could not write although there is room")
            case _:
                raise NotAsReportedError("answered another question")

    def _take(self, order: Order) -> list[tuple[SentFile, bytes]]:
        """Move the media out of the worker's reach, hash and read them."""
        found = []
        for _, made in possible_files(order):
            if not os.path.lexists(made):
                continue  # a clip without sound; missing media are noticed where they arrive
            own = self._kept / made.name
            own.unlink(missing_ok=True)
            facts = taken(made, own, order.spec.max_payload_bytes)
            found.append((SentFile(made.name, facts.size_bytes, facts.sha256), own.read_bytes()))
            own.unlink()
        return found


def _unseen(order: Order) -> str:
    """Why this machine does not see the clip's file as the run found it; empty if it does."""
    source: Source = order.clip.source
    if is_address(source.path):  # the node's own credentials decide, and the store answers
        return ""
    try:
        facts = os.stat(source.path)  # noqa: PTH116 - the name may be no text
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    if facts.st_size != source.size_bytes:
        return f"it has {facts.st_size} bytes there, and {source.size_bytes} here"
    return "" if facts.st_mtime_ns == source.mtime_ns else "it has another change time there"
