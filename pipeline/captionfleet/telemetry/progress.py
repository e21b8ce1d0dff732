"""The progress of a run: a bar on a terminal, elsewhere lines or events (main process)."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import RLock
from typing import Literal, Protocol, TextIO

import anyio
from tqdm import tqdm

from captionfleet.telemetry.clock import utc_now
from captionfleet.telemetry.log import get_log
from captionfleet.telemetry.tally import Tally

__all__ = ["Progress", "show_progress"]

Progress = TextIO | Literal["log"] | None
"""Where progress is shown: on a stream, as events of the structured log, or nowhere."""

_TERMINAL_EVERY_S = 0.2
_PLAIN_EVERY_S = 30.0


class _Display(Protocol):
    def update(self, tally: Tally) -> None: ...
    def close(self) -> None: ...


class _Bar:
    def __init__(self, stream: TextIO) -> None:
        tqdm.set_lock(RLock())  # its own is one for processes, a system-wide semaphore
        tqdm.monitor_interval = 0  # a thread that would refresh a bar which is refreshed anyway
        self._bar = tqdm(unit="clip", file=stream, dynamic_ncols=True, smoothing=0.05)

    def update(self, tally: Tally) -> None:
        self._bar.total = tally.planned_total
        self._bar.n = tally.settled
        self._bar.set_postfix_str(tally.line(), refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()


class _Events:
    def update(self, tally: Tally) -> None:
        get_log().info(
            "progress",
            planned=tally.planned,
            planned_total=tally.planned_total,
            captioned=tally.captioned,
            failed=tally.failed,
            preparing=tally.preparing,
            in_flight=tally.in_flight,
            tokens=tally.prompt_tokens + tally.completion_tokens,
            waiting_for=tally.waiting_for,
        )

    def close(self) -> None:
        pass


class _Lines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def update(self, tally: Tally) -> None:
        total = "?" if tally.planned_total is None else f"{tally.planned_total:,}"
        print(
            f"{utc_now()} {tally.settled:,}/{total} clips, {tally.line()}{_eta(tally)}",
            file=self._stream,
            flush=True,
        )

    def close(self) -> None:
        pass


def _eta(tally: Tally) -> str:
    if tally.planned_total is None or not tally.settled:
        return ""
    left_s = tally.elapsed_s() / tally.settled * (tally.planned_total - tally.settled)
    return f", about {left_s / 60:.0f} min left" if left_s >= 60 else f", {left_s:.0f} s left"  # noqa: PLR2004 - a minute


@asynccontextmanager
async def show_progress(tally: Tally, stream: Progress) -> AsyncIterator[None]:
    """Show the tally while the block runs: a bar on a terminal, a line every 30 s elsewhere."""
    if stream is None:
        yield
        return
    display = _display(stream)
    is_terminal = isinstance(display, _Bar)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                _refresh, display, tally, _TERMINAL_EVERY_S if is_terminal else _PLAIN_EVERY_S
            )
            yield
            tasks.cancel_scope.cancel()
    finally:
        if is_terminal:
            display.update(tally)
        display.close()


def _display(stream: TextIO | Literal["log"]) -> _Display:
    if stream == "log":
        return _Events()
    # A terminal may not know its width, in a container for one: no bar fits in 0 columns.
    has_width = stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0
    return _Bar(stream) if has_width else _Lines(stream)


async def _refresh(display: _Display, tally: Tally, every_s: float) -> None:
    while True:
        await anyio.sleep(every_s)
        display.update(tally)
