"""Finds and stores the media of one clip, in a thread as each call may block (main process)."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from captionfleet.errors import StoreError
from captionfleet.media.orders import Order, Prepared, hold_of
from captionfleet.messages import Clip, Form, MediaSpec, ReadyClip, Source
from captionfleet.messages.address import is_address
from captionfleet.system.regular_file import open_regular
from captionfleet.telemetry import monotonic_s
from captionfleet.workers.store import MediaStore, StoredMedia, media_key
from captionfleet.workers.taking import NotAsReportedError

__all__ = ["Shelf"]

T = TypeVar("T")


class Shelf:
    """Finds and stores the media of one clip at a time, in each form.

    A cancelled call still completes in its thread.
    """

    def __init__(self, store: Path, specs: Sequence[MediaSpec]) -> None:
        self._store = MediaStore(store)
        self._specs = specs
        # A dead network disk must not block the threads that write captions.
        self._one_thread = anyio.CapacityLimiter(1)

    async def find(self, clip: Clip, hold: Path) -> ReadyClip | None:
        """The media of a clip, if all forms are stored and its file is unchanged."""
        started_s = monotonic_s()
        found = await self._in_thread(lambda: self._found(clip, hold))
        if found is None:
            return None
        made = [Prepared(one.facts) for one in found]
        return self._ready(clip, found, monotonic_s() - started_s, made)

    def _found(self, clip: Clip, hold: Path) -> list[StoredMedia] | None:
        if not _is_unchanged(clip.source):
            return None  # the worker that opens the file reports why
        found = []
        for place, spec in enumerate(self._specs):
            own = Path(hold_of(str(hold), place))
            media = self._store.find(media_key(clip, spec), own, spec.form)
            if media is None:
                return None
            found.append(media)
        return found

    async def keep(self, order: Order, hold: Path, made: Prepared, prepare_s: float) -> ReadyClip:
        """Store what a worker made.

        Raises:
            NotAsReportedError: the worker did not leave what it reports.
            StoreError: the store cannot be written.
        """
        all_made = [made, *made.others]
        if len(all_made) != len(self._specs):
            raise NotAsReportedError("did not make each form that was ordered")
        kept = await self._in_thread(lambda: self._kept(order, hold, all_made))
        return self._ready(order.clip, kept, prepare_s, all_made)

    def _kept(self, order: Order, hold: Path, made: Sequence[Prepared]) -> list[StoredMedia]:
        return [
            self._store.keep(
                media_key(order.clip, spec),
                Path(hold_of(order.hold, place)),
                Path(hold_of(str(hold), place)),
                one.facts,
                spec.max_payload_bytes,
                spec.form,
            )
            for place, (spec, one) in enumerate(zip(self._specs, made, strict=True))
        ]

    def _ready(
        self,
        clip: Clip,
        media: Sequence[StoredMedia],
        prepare_s: float,
        made: Sequence[Prepared],
    ) -> ReadyClip:
        first, *others = (
            _ready(clip, spec.form, one, prepare_s, by)
            for spec, one, by in zip(self._specs, media, made, strict=True)
        )
        return replace(first, others=tuple(others))

    async def require_room(self, order: Order) -> None:
        """Check whether media can be written, where a worker reports that they cannot.

        Raises:
            StoreError: they cannot.
        """
        own = Path(order.hold).with_suffix(".new")
        size_bytes = sum(spec.max_payload_bytes for spec in self._specs)
        await self._in_thread(lambda: _reserve(own, size_bytes))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await to_thread.run_sync(call, limiter=self._one_thread, abandon_on_cancel=True)


def _is_unchanged(source: Source) -> bool:
    if is_address(source.path):  # every part was of this version, or there are no media
        return True
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


def _ready(
    clip: Clip, form: Form, media: StoredMedia, prepare_s: float, made: Prepared
) -> ReadyClip:
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
        form=form,
    )
