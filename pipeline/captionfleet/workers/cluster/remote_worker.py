"""Presents a worker on some node of a cluster like a local worker process (main process)."""

import hashlib
import os
from dataclasses import replace
from types import TracebackType
from typing import Self

from anyio import to_thread

from captionfleet.config import WorkersConfig
from captionfleet.media.orders import Order, Prepared, Report
from captionfleet.messages import Source, printable
from captionfleet.system.regular_file import open_regular
from captionfleet.workers.cluster.cluster import Cluster, LostError, Returned
from captionfleet.workers.cluster.parcels import (
    Done,
    Failed,
    Misreported,
    Parcel,
    SentFile,
    TooSlow,
    Unable,
    Unseen,
    possible_files,
)
from captionfleet.workers.process import WorkerDied
from captionfleet.workers.taking import NotAsReportedError

__all__ = ["RemoteWorker"]

_TRIES = 5  # tries for a clip whose node dies; preemptible nodes die every few hours
_ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class RemoteWorker:
    """Prepares one clip at a time on whichever node Ray chooses."""

    is_started = True
    """The folder that media arrive in serves all clips: no worker writes to it."""

    def __init__(self, cluster: Cluster, limits: WorkersConfig) -> None:
        self._cluster = cluster
        self._limits = limits

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def retire(self) -> None:
        """Do nothing: nodes replace their worker processes themselves."""

    async def kill(self) -> None:
        """Do nothing: nodes end their worker processes themselves."""

    async def work_on(self, order: Order) -> Report:
        """Carry out an order, with its media at the order's `hold`; a lost node costs a retry.

        Raises:
            MachineError: the cluster is unfit for the run.
            NotAsReportedError: the worker did not leave what it reports, or nodes die of the clip.
            TimeoutError: it missed its deadline.
            WorkerDied: it ended instead of reporting.
        """
        limits = self._limits
        parcel = Parcel(
            order,
            limits.confine,
            limits.clip_timeout_s,
            limits.recycle_clips,
            limits.recycle_bytes,
        )
        lost = 0
        while lost < _TRIES:
            try:
                returned = await self._cluster.prepare(parcel)
                if returned is None:
                    continue
                if isinstance(returned.reply, Unable | Unseen):
                    parcel = await self._doubt(parcel, returned, returned.reply)
                    continue
                return await self._settled(order, returned)
            except LostError:
                lost += 1
        raise NotAsReportedError(f"was lost {lost} times, each time with its node")

    async def _doubt(self, parcel: Parcel, returned: Returned, reply: Unable | Unseen) -> Parcel:
        """Give the node no clips, unless the clip's file changed for this machine, too."""
        why = reply.words
        if isinstance(reply, Unseen):
            source = parcel.order.clip.source
            if not await to_thread.run_sync(_is_as_found, source):
                return replace(parcel, checks_source=False)
            why = f"does not see the sources: {printable(source.path)}: {reply.words}"
        await self._cluster.refuse(returned.node_id, returned.node, why)
        return parcel

    async def _settled(self, order: Order, returned: Returned) -> Report:
        figures, reply = self._cluster.figures(returned.node), returned.reply
        assert not isinstance(reply, Unable | Unseen)  # noqa: S101 - those are for another node
        if isinstance(reply, Done) and reply.files:
            media = await self._cluster.fetch(returned)
            await to_thread.run_sync(_write, order, reply.files, media)
            figures.media_bytes += len(media)
        figures.refused = ""
        figures.clips += 1
        figures.busy_s += reply.busy_s
        match reply:
            case Done(report):
                figures.cpu_s += report.cpu_s
                figures.failed += not isinstance(report.result, Prepared)
                return report
            case TooSlow():
                error: Exception = TimeoutError()
            case Failed(returncode):
                error = WorkerDied(returncode)
            case Misreported(words):
                error = NotAsReportedError(words)
        figures.failed += 1
        raise error


def _is_as_found(source: Source) -> bool:
    try:
        facts = os.stat(source.path)  # noqa: PTH116 - the name may be no text
    except (OSError, ValueError):
        return False
    return (facts.st_size, facts.st_mtime_ns) == (source.size_bytes, source.mtime_ns)


def _write(order: Order, files: tuple[SentFile, ...], media: bytes) -> None:
    """Write the files that a node sent to where a local worker leaves them.

    Raises:
        LostError: they are not what the node sent.
        OSError: the store cannot be written.
    """
    own = {path.name: path for _, path in possible_files(order)}
    rest = memoryview(media)
    for file in files:
        part, rest = rest[: file.size_bytes], rest[file.size_bytes :]
        if file.name not in own or hashlib.sha256(part).hexdigest() != file.sha256:
            raise LostError
        with os.fdopen(open_regular(own[file.name], _ANEW), "wb") as target:
            target.write(part)
