"""Warns when a known library looks new because its times or folder changed (main process)."""

import os
import unicodedata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import anyio.to_thread

from captionfleet.ledger.files.names import CAPTIONS
from captionfleet.ledger.files.reading import raw_lines, record_of
from captionfleet.ledger.settled import Settled
from captionfleet.messages import Clip, printable
from captionfleet.names import name_bytes
from captionfleet.telemetry import get_log

__all__ = ["Lookalikes"]

_LEAST_FILES = 20  # with fewer clips, the user sees it from the count
_MOST_FILES = 200
_MOST = 0.8
_MOST_LINES = 100_000  # a second or two; the walk and the file begin with the same names

_Key = tuple[str, float]


class Lookalikes:
    """Warns once if most clips have no caption while captions of their names exist.

    Copying or archiving may truncate, shift or renew file times, a file system may change the
    Unicode form of names (NFC, NFD), and a library may move. Without a warning, a run would pay for
    everything again.
    """

    def __init__(self, settled: Settled) -> None:
        self._settled = settled
        self._clips = 0
        self._new: dict[_Key, Clip] = {}
        self._moved: tuple[str, str] | None = None
        self.is_over = settled.folder is None or not settled.has_captions

    async def see(self, clip: Clip) -> None:
        """Take a clip into account; once there are enough, compare them with the captions."""
        if self.is_over:
            return
        self._clips += 1
        if not self._settled.has_caption(clip.clip_id):
            self._new[_key(os.fsencode(clip.source.name), clip.end_s)] = clip
        if self._clips == _MOST_FILES:
            await self.conclude()

    async def conclude(self) -> None:
        """Compare the clips seen so far, unless that was done."""
        if self.is_over:
            return
        self.is_over = True
        if len(self._new) < max(_LEAST_FILES, _MOST * self._clips):
            return
        known = await anyio.to_thread.run_sync(self._known_names, abandon_on_cancel=True)
        if known >= _MOST * len(self._new):
            get_log().warning(
                f"most files look new, though captions of the same names are there: {self._why()}"
                ", or all are paid for again",
                looked_at=self._clips,
                same_names=known,
            )

    def _why(self) -> str:
        if self._moved is not None:
            old, new = map(printable, self._moved)
            return f"did the library move? Stop, and run with --relocate '{old}={new}'"
        return "did a copy change their times? Restore them (rsync -t, cp -p)"

    def _known_names(self) -> int:
        assert self._settled.folder is not None  # noqa: S101 - it would be over
        left = dict(self._new)
        try:
            for key, record in _keys(self._settled.folder / CAPTIONS):
                if key in left and self._is_alike(left[key], record):
                    del left[key]
        except OSError:  # captions that count have been read before
            return 0
        return len(self._new) - len(left)

    def _is_alike(self, clip: Clip, record: dict[str, Any]) -> bool:
        """Whether the caption may belong to this clip: no other file is at the caption's path."""
        old = os.fsdecode(name_bytes(record, "path") or b"")
        if not old or old == clip.source.known_path:
            return True
        if os.path.lexists(old):
            return False
        self._moved = self._moved or _move(old, clip.source.known_path)
        return True


def _move(old: str, new: str) -> tuple[str, str]:
    """The folders that differ: both paths without their common end."""
    there, here = Path(old).parts, Path(new).parts
    most = min(len(there), len(here)) - 1
    same = next((n for n in range(most) if there[-1 - n] != here[-1 - n]), most)
    ends = (len(there) - same, len(here) - same)
    return str(Path(*there[: ends[0]])), str(Path(*here[: ends[1]]))


def _keys(path: Path) -> Iterator[tuple[_Key, dict[str, Any]]]:
    for _, line in islice(raw_lines(path), _MOST_LINES):
        record = record_of(line)
        try:
            yield _key(name_bytes(record, "source") or b"", float(record["end_s"])), record
        except (ValueError, KeyError, TypeError):
            continue


def _key(name: bytes, end_s: float) -> _Key:
    return unicodedata.normalize("NFC", os.fsdecode(name)), end_s
