"""The clock, the structured log, the counters of a run and its progress line (main process)."""

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from typing import Literal, Protocol, TextIO

import anyio
import structlog
from tqdm import tqdm

from captionfleet.messages import Usage, for_terminal

__all__ = [
    "Progress",
    "Tally",
    "configure_logging",
    "get_log",
    "monotonic_s",
    "show_progress",
    "utc_now",
    "wall_ns",
]

Progress = TextIO | Literal["log"] | None
"""Where progress is shown: on a stream, as events of the structured log, or nowhere."""

_TERMINAL_EVERY_S = 0.2
_PLAIN_EVERY_S = 30.0


def monotonic_s() -> float:
    """Seconds on a clock that never jumps; all durations are differences of these."""
    return time.perf_counter()


def wall_ns() -> int:
    """The wall clock in nanoseconds, to compare with times of files; it may jump."""
    return time.time_ns()


def utc_now() -> str:
    """The wall clock as ISO 8601 in UTC, milliseconds, with a Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def configure_logging(*, as_json: bool = False) -> None:
    """Send the structured log to stderr: JSON lines, or for people the warnings alone."""
    colors = sys.stderr.isatty()
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()]
        if as_json
        else [_escaped, structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.INFO if as_json else logging.WARNING
        ),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _escaped(
    _log: object, _level: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """What is told may hold names of files, and what servers said."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = for_terminal(value)
    return event


def get_log() -> structlog.typing.FilteringBoundLogger:
    """The run's log; values are bound by name, never formatted into the event.

    In a program that did not set up structlog it is set up as by `configure_logging`: left alone
    it would print to standard output.
    """
    if not structlog.is_configured():
        configure_logging()
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger("captionfleet")
    return log


@dataclass(slots=True)
class Tally:
    """The live counters of one run; every stage counts its own and reads nobody else's.

    `planned_total` is the number of clips once the producer has seen everything, else None.
    `waiting_for` is why nothing moves, for the progress line; empty while things move.
    `confinement` is what holds of the worker processes, None before the first one reported.
    """

    planned: int = 0
    planned_total: int | None = None
    already_captioned: int = 0
    standing_failures: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)
    preparing: int = 0
    prepared: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    captioned: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    retries: int = 0
    hedges: int = 0
    hedges_won: int = 0
    workers_busy_s: float = 0.0
    in_flight_s: float = 0.0
    waiting_for: str = ""
    confinement: str | None = None
    started_s: float = field(default_factory=monotonic_s)

    @property
    def settled(self) -> int:
        """Clips of this run that have their line."""
        return self.captioned + self.failed

    def pay(self, usage: Usage) -> None:
        """Count the tokens of an answer, whether or not it brought a caption."""
        self.prompt_tokens += usage.prompt_tokens or 0
        self.completion_tokens += usage.completion_tokens or 0
        self.cached_tokens += usage.cached_tokens or 0

    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return monotonic_s() - self.started_s

    def line(self) -> str:
        """The figures of the progress line, without bar and ETA."""
        seconds = max(self.elapsed_s(), 1e-9)
        parts = [
            f"{self.failed} failed",
            f"{self.preparing} preparing",
            f"{self.in_flight} in flight",
            f"{self.settled / seconds:.2f} clips/s",
            f"{(self.prompt_tokens + self.completion_tokens) / seconds:,.0f} tokens/s",
        ]
        return ", ".join(parts + ([f"waiting: {self.waiting_for}"] if self.waiting_for else []))


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
