"""Shows the progress of a run: a bar on a terminal, else lines or log events (main process)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal, Protocol, TextIO

import anyio

from captionfleet import text
from captionfleet.telemetry.clock import monotonic_s, utc_now
from captionfleet.telemetry.display import Display, has_width
from captionfleet.telemetry.log import get_log
from captionfleet.telemetry.pace import Pace
from captionfleet.telemetry.tally import Tally
from captionfleet.telemetry.wording import Picture, rate_in_words

__all__ = ["Progress", "show_pictures", "show_progress"]

Progress = TextIO | Literal["log"] | None
"""Where progress is shown: on a stream, as events of the structured log, or nowhere."""

_LOOK_EVERY_S = 0.2
_LINE_EVERY_S = 30.0
_LONG_S = 5.0  # shorter waits are shown without their length


@asynccontextmanager
async def show_progress(
    tally: Tally,
    stream: Progress,
    *,
    sends: bool = True,
    look_every_s: float = _LOOK_EVERY_S,
    line_every_s: float = _LINE_EVERY_S,
) -> AsyncIterator[None]:
    """Show the tally while the block runs: a bar on a terminal, a line every 30 s elsewhere.

    Args:
        tally: The counters.
        stream: The stream to write to, "log" for log events, or None.
        sends: Whether clips are sent, or only prepared.
        look_every_s: Seconds between two looks at the tally.
        line_every_s: Seconds between two lines or log events.
    """
    if stream == "log":
        watching = _Watching(tally, sends=sends)
        async with _repeating(lambda: _log(tally, watching.look()), line_every_s):
            yield
        return
    watching = _Watching(tally, sends=sends)
    async with show_pictures(
        watching.look, stream, look_every_s=look_every_s, line_every_s=line_every_s
    ):
        yield


@asynccontextmanager
async def show_pictures(
    look: Callable[[], Picture],
    stream: TextIO | None,
    *,
    leave: bool = True,
    look_every_s: float = _LOOK_EVERY_S,
    line_every_s: float = _LINE_EVERY_S,
) -> AsyncIterator[None]:
    """Poll `look` and show what it returns, as a bar on a terminal or as lines.

    Args:
        look: Returns what there is to show now.
        stream: The stream to write to.
        leave: Whether the last bar stays on the terminal.
        look_every_s: Seconds between two looks.
        line_every_s: Seconds between two lines.
    """
    if stream is None:
        yield
        return
    is_bar = has_width(stream)
    display: _Shows = Display(stream, leave=leave) if is_bar else _Lines(stream, line_every_s)
    try:
        async with _repeating(lambda: display.show(look()), look_every_s):
            yield
    finally:
        if isinstance(display, Display):
            display.show(look())
        display.close()


@asynccontextmanager
async def _repeating(step: Callable[[], None], every_s: float) -> AsyncIterator[None]:
    async def repeat() -> None:
        while True:
            await anyio.sleep(every_s)
            step()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(repeat)
        yield
        tasks.cancel_scope.cancel()


class _Shows(Protocol):
    def show(self, picture: Picture) -> None: ...
    def close(self) -> None: ...


class _Lines:
    """Prints a line at intervals if there is no terminal."""

    def __init__(self, stream: TextIO, every_s: float) -> None:
        self._stream = stream
        self._every_s = every_s
        self._next_s = monotonic_s() + every_s

    def show(self, picture: Picture) -> None:
        if monotonic_s() < self._next_s:
            return
        self._next_s = monotonic_s() + self._every_s
        print(f"{utc_now()} {picture.plain()}", file=self._stream, flush=True)

    def close(self) -> None:
        pass


class _Watching:
    """Reads the counters of a run and derives its rate."""

    def __init__(self, tally: Tally, *, sends: bool) -> None:
        self._tally = tally
        self._sends = sends
        self._pace = Pace()
        self._waiting_since_s: float | None = None

    def look(self) -> Picture:
        """What there is to show now."""
        tally, now_s = self._tally, monotonic_s()
        self._pace.see(tally, now_s)
        left_s = self._pace.left_s(tally)
        return Picture(
            done=tally.settled,
            total=tally.expected,
            unit=tally.unit,
            is_growing=tally.is_growing,
            rate=rate_in_words(self._pace.clips_per_s()),
            left=f"ETA {text.rough(left_s)}" if left_s is not None else "",
            facts=tuple(self._facts()),
            waiting=self._tally.waiting_for,
            waited=self._waited(now_s),
        )

    def _facts(self) -> list[str]:
        tally = self._tally
        facts = [f"{tally.failed:,} failed", f"{tally.preparing} preparing"]
        if not self._sends:
            return facts
        if tally.waiting_for and not tally.in_flight:
            return facts
        tokens = (tally.prompt_tokens + tally.completion_tokens) / max(tally.elapsed_s(), 1e-9)
        return [*facts, f"{tally.in_flight} in flight", f"{text.short(round(tokens))} tokens/s"]

    def _waited(self, now_s: float) -> str:
        if not self._tally.waiting_for:
            self._waiting_since_s = None
            return ""
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
        waited_s = now_s - self._waiting_since_s
        return text.rough(waited_s) if waited_s >= _LONG_S else ""


def _log(tally: Tally, picture: Picture) -> None:
    get_log().info(
        "progress",
        planned=tally.planned,
        planned_total=tally.planned_total,
        expected=picture.total,
        captioned=tally.captioned,
        failed=tally.failed,
        preparing=tally.preparing,
        in_flight=tally.in_flight,
        tokens=tally.prompt_tokens + tally.completion_tokens,
        left=picture.left,
        waiting_for=tally.waiting_for,
    )
