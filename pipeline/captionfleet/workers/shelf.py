"""One lane's way to the media store: in a thread, for each call may block (main process)."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from captionfleet.errors import StoreError
from captionfleet.media.orders import Order, Prepared
from captionfleet.messages import Clip, MediaFacts, MediaSpec, ReadyClip, Source
from captionfleet.regular_file import open_regular
from captionfleet.telemetry import monotonic_s
from captionfleet.workers.store import MediaStore, StoredMedia, media_key

__all__ = ["Shelf"]

T = TypeVar("T")


class Shelf:
    """Finds and keeps the media of one clip at a time; a call that is cancelled ends later."""

    def __init__(self, store: Path, spec: MediaSpec) -> None:
        self._store = MediaStore(store)
        self._spec = spec
        # A dead network disk must not take the threads that write captions.
        self._one_thread = anyio.CapacityLimiter(1)

    async def find(self, clip: Clip, hold: Path) -> ReadyClip | None:
        """The media of a clip, if they are there and its file is as it was found."""
        started_s = monotonic_s()
        found = await self._in_thread(lambda: self._found(clip, hold))
        if found is None:
            return None
        return _ready(clip, found, monotonic_s() - started_s, Prepared(found.facts))

    def _found(self, clip: Clip, hold: Path) -> StoredMedia | None:
        if not _is_unchanged(clip.source):
            return None  # the worker that opens it says why
        return self._store.find(media_key(clip, self._spec), hold)

    async def keep(self, order: Order, hold: Path, made: Prepared, prepare_s: float) -> ReadyClip:
        """Take what a worker made.

        Raises:
            NotAsReportedError: it did not leave what it reports.
            StoreError: the store cannot be written.
        """
        kept = await self._in_thread(lambda: self._kept(order, hold, made.facts))
        return _ready(order.clip, kept, prepare_s, made)

    def _kept(self, order: Order, hold: Path, facts: MediaFacts) -> StoredMedia:
        key = media_key(order.clip, self._spec)
        return self._store.keep(key, Path(order.hold), hold, facts, self._spec.max_payload_bytes)

    async def require_room(self, order: Order) -> None:
        """Look whether a worker can write its media, where it says that it cannot.

        Raises:
            StoreError: it cannot.
        """
        own = Path(order.hold).with_suffix(".new")
        await self._in_thread(lambda: _reserve(own, self._spec.max_payload_bytes))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await to_thread.run_sync(call, limiter=self._one_thread, abandon_on_cancel=True)


def _is_unchanged(source: Source) -> bool:
    try:
        facts = os.stat(source.path)  # noqa: PTH116 - the name may be no text
    except (OSError, ValueError):
        return False
    return (facts.st_size, facts.st_mtime_ns) == (source.size_bytes, source.mtime_ns)


def _reserve(own: Path, size_bytes: int) -> None:
    try:
        descriptor = open_regular(own, os.O_WRONLY | os.O_CREAT)
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
        finally:
            own.unlink()
            os.close(descriptor)
    except OSError as error:
        raise StoreError(error.errno or 0, str(error.strerror)) from None


def _ready(clip: Clip, media: StoredMedia, prepare_s: float, made: Prepared) -> ReadyClip:
    return ReadyClip(
        clip,
        media.video,
        media.audio,
        media.facts,
        prepare_s,
        monotonic_s(),
        media_key=media.key,
        decode_s=made.decode_s,
        encode_s=made.encode_s,
        video_mtime_ns=media.video_mtime_ns,
        audio_mtime_ns=media.audio_mtime_ns,
    )
