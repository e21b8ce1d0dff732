"""Renders pictures and sound of the gallery in worker processes (main process)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import orjson

from captionfleet.config.memory import available_bytes, worker_bytes
from captionfleet.errors import RunError, first_run_error
from captionfleet.ledger.files.reading import table_in, text_in
from captionfleet.ledger.stored_media import stored_files
from captionfleet.media.orders import Refused, Sheet, SheetOrder
from captionfleet.report.cards import frame_times
from captionfleet.workers.process import WorkerDied, WorkerProcess

__all__ = ["SheetLimits", "Sheets", "make_sheets"]

_FEW = 16  # fewer clips than this do not need another process
_GONE = "the media are no longer in the store"
_FAILED = "the media could not be shown"
_NO_ROOM = "left out to keep this page small"
_NO_TIME = "left out, because making this page took too long"


@dataclass(frozen=True, slots=True)
class SheetLimits:
    """Limits on pictures and sound, together and each, and on the other clips' text.

    `text_bytes` is before compression, which leaves about a third: some 50,000 captions of 800
    characters.
    """

    max_bytes: int = 48_000_000
    sound_share: float = 0.7
    text_bytes: int = 48_000_000
    deadline_s: float = 600.0
    each_s: float = 20.0
    memory_bytes: int = field(default_factory=lambda: worker_bytes(2, available_bytes()))
    processes: int = 2


@dataclass(slots=True)
class Sheets:
    """A JSON text for each clip by its number, and the total sizes."""

    blocks: dict[int, bytes] = field(default_factory=dict)
    shown: int = 0
    without_sound: int = 0
    picture_bytes: int = 0
    sound_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """The size of pictures and sound."""
        return self.picture_bytes + self.sound_bytes

    def keep(self, number: int, sheet: Sheet, times_s: list[float]) -> None:
        """Add one clip's pictures and sound."""
        self.shown += 1
        self.without_sound += bool(sheet.peaks) and not sheet.ogg_base64
        self.picture_bytes += len(sheet.webp_base64)
        self.sound_bytes += len(sheet.ogg_base64)
        block = {
            "sheet": sheet.webp_base64,
            "columns": sheet.columns,
            "rows": sheet.rows,
            "width": sheet.width_px,
            "height": sheet.height_px,
            "times": times_s,
            "peaks": sheet.peaks,
            "sound": sheet.ogg_base64,
        }
        self.blocks[number] = orjson.dumps(block)


async def make_sheets(
    lines: Sequence[tuple[int, dict[str, Any]]], store: Path, limits: SheetLimits
) -> Sheets:
    """Render as many clips as the limits allow, in this order; say why for all others.

    Args:
        lines: the clips' numbers and captions lines.
        store: the media store that holds their media.
        limits: time, bytes and processes.

    Raises:
        RunError: no worker process can be started.
    """
    sheets = Sheets({number: _missing(_NO_TIME) for number, _ in lines})
    rest = iter(lines)
    problem: RunError | None = None
    try:
        with anyio.move_on_after(limits.deadline_s):
            async with anyio.create_task_group() as lanes:
                for _ in range(min(limits.processes, -(-len(lines) // _FEW))):
                    lanes.start_soon(_run_lane, rest, store, limits, sheets)
    except* RunError as group:
        problem = first_run_error(group)
    if problem is not None:
        raise problem
    return sheets


async def _run_lane(
    rest: Iterator[tuple[int, dict[str, Any]]], store: Path, limits: SheetLimits, sheets: Sheets
) -> None:
    async with WorkerProcess() as worker:
        for number, record in rest:
            if sheets.size_bytes >= limits.max_bytes:
                sheets.blocks[number] = _missing(_NO_ROOM)
                continue
            has_room = sheets.sound_bytes < limits.max_bytes * limits.sound_share
            order = _order(record, store, limits, with_sound=has_room)
            made = await _made(worker, order, limits) if order else _GONE
            if isinstance(made, Sheet):
                sheets.keep(number, made, frame_times(record))
            else:
                sheets.blocks[number] = _missing(made)


async def _made(worker: WorkerProcess, order: SheetOrder, limits: SheetLimits) -> Sheet | str:
    try:
        with anyio.fail_after(limits.each_s):
            report = await worker.work_on(order)
    except (TimeoutError, WorkerDied):
        return _FAILED
    if isinstance(report.result, Sheet):
        return report.result
    return report.result.detail if isinstance(report.result, Refused) else _FAILED


def _order(
    record: dict[str, Any], store: Path, limits: SheetLimits, *, with_sound: bool
) -> SheetOrder | None:
    files, media = stored_files(store, record), table_in(record, "media")
    if files is None:
        return None
    return SheetOrder(
        video=str(files.video),
        video_sha256=text_in(media, "video_sha256"),
        audio=str(files.audio) if files.audio else None,
        audio_sha256=text_in(media, "audio_sha256") if files.audio else None,
        with_sound=with_sound,
        cpu_s=int(limits.each_s),
        memory_bytes=limits.memory_bytes,
    )


def _missing(reason: str) -> bytes:
    return orjson.dumps({"missing": reason})
