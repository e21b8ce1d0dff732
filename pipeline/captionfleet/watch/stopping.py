"""Ends a run early, on signals, limits or failures, with a bounded drain (main process)."""

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import anyio
from anyio import CancelScope
from anyio.streams.memory import MemoryObjectReceiveStream

from captionfleet.config import LimitsConfig
from captionfleet.config.stop_rules import Limit, next_time
from captionfleet.errors import RunError, Stage, first_run_error
from captionfleet.messages import Failure, Outcome
from captionfleet.system.machine import machine_errors
from captionfleet.telemetry import Tally, get_log
from captionfleet.telemetry.awake import sleep_awake

__all__ = ["Stopping"]

_SIGNAL_EXIT = 128
_LIMIT_EXIT = 5
_HOUR_S = 3600.0


class Stopping:
    """Stops a run: no new clips begin, and requests in flight get a limited time.

    `checking` is the scope of the checks before the stages, `producing` that of the first stage,
    `everything` that of the whole run; the run enters them. `queues` hold clips that are between
    stages; `halted` stops the sender from starting requests. `now` is local time, as deadlines are;
    it is read every `look_at_clock_s`.
    """

    def __init__(
        self,
        limits: LimitsConfig,
        tally: Tally,
        *,
        now: Callable[[], datetime] = datetime.now,
        look_at_clock_s: float = 10.0,
    ) -> None:
        self._now = now
        self._look_at_clock_s = look_at_clock_s
        self.checking = CancelScope()
        self.producing = CancelScope()
        self.everything = CancelScope()
        self.queues: tuple[MemoryObjectReceiveStream[Any], ...] = ()
        self.halted: anyio.Event | None = None
        self.signal_number = 0
        self.limit: Limit | None = None
        self.problem: RunError | None = None
        self._copying: CancelScope | None = None
        self._copy_end_s = 0.0
        self._draining = anyio.Event()
        self._drained_s = math.inf
        self._limits = limits
        self._rules = limits.stop_rules()
        self._tally = tally

    @property
    def is_stopping(self) -> bool:
        """Whether a signal, a limit or a failure has ended the run."""
        return bool(self.signal_number or self.limit or self.problem)

    @property
    def exit_code(self) -> int | None:
        """The exit code of a stopped run; None if it was not stopped."""
        if self.signal_number:
            return _SIGNAL_EXIT + self.signal_number
        return _LIMIT_EXIT if self.limit else None

    def on_signal(self, number: signal.Signals) -> None:
        """Handle a signal: the first starts the drain, the second ends it."""
        if self._copying is not None:
            self._hurry(self._copying)
            return
        if self.signal_number:
            self.everything.cancel()
            return
        self.signal_number = number
        get_log().warning("stopping: no new clips; a second signal stops at once")
        self._drain()

    @contextmanager
    def copying(self, end_s: float, *, is_hurried: bool) -> Iterator[None]:
        """Limit the last copy of the output folder, when every line is already safe.

        It has `end_s` seconds from a first signal on, or from its start if it `is_hurried`; another
        signal ends it. A copy that runs out of time ends the block.
        """
        self._copy_end_s = end_s
        with CancelScope() as copying:
            self._copying = copying
            try:
                if is_hurried:
                    self._hurry(copying)
                yield
            finally:
                self._copying = None

    def _hurry(self, copying: CancelScope) -> None:
        if copying.deadline == math.inf:
            copying.deadline = anyio.current_time() + self._copy_end_s
            return
        copying.cancel()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Wrap a stage before the requests: if it fails, those in flight still get their lines.

        The first such failure is kept as `problem`, for the end of the run.
        """
        failure: RunError | None = None
        try:
            with machine_errors():
                yield
        except* RunError as group:
            failure = first_run_error(group)
        if failure is not None and self.problem is None:
            self.problem = failure
            if in_flight := self._tally.in_flight:
                get_log().warning(
                    "stopping: no new clips; waiting for requests in flight",
                    reason=str(failure),
                    in_flight=in_flight,
                )
            self._drain()

    async def watch(self) -> None:
        """Enforce time limits until cancelled, and end a drain that takes too long."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_drain)
            if self._limits.deadline is not None:
                tasks.start_soon(self._watch_deadline)
            if self._limits.max_hours is not None:
                tasks.start_soon(self._watch_hours, self._limits.max_hours)

    def weigh(self, release: Callable[[str], None]) -> Callable[[Outcome], None]:
        """A function to call for each outcome with a line: it checks the limits.

        It first calls `release` with the id of the outcome's clip, unless the first stage failed:
        no media are held for that, though they may be for other requests of the clip.
        """

        def kept(outcome: Outcome) -> None:
            if not (isinstance(outcome, Failure) and outcome.stage is Stage.PRODUCER):
                release(outcome.clip.clip_id)
            self.look()

        return kept

    def look(self) -> None:
        """Compare the run's counts with its limits: retries cost money between lines, too."""
        tally = self._tally
        tokens = tally.prompt_tokens + tally.completion_tokens
        limit = self._rules.reached(captioned=tally.captioned, failed=tally.failed, tokens=tokens)
        if limit is not None:
            self._reach(limit)

    async def _watch_deadline(self) -> None:
        assert self._limits.deadline is not None  # noqa: S101 - watch looked
        # The wall clock is read repeatedly, as it may jump, and a laptop sleeps.
        end = next_time(self._limits.time_of_day(), self._now())
        while (left_s := (end - self._now()).total_seconds()) > 0:  # noqa: ASYNC110 - no event
            await anyio.sleep(min(left_s, self._look_at_clock_s))
        self._reach("deadline")

    async def _watch_hours(self, hours: float) -> None:
        await anyio.sleep(max(0.0, hours * _HOUR_S - self._tally.elapsed_s()))
        self._reach("max_hours")

    def _reach(self, limit: Limit) -> None:
        if self.limit is None and not self.signal_number:
            self.limit = limit
            get_log().info("stopping: no new clips, a limit is reached", limit=limit)
            self._drain()

    def _drain(self) -> None:
        self.checking.cancel()
        self.producing.cancel()
        self._drop_queued()
        if self.halted is not None:
            self.halted.set()
        # A signal during the drain after a limit does not extend it.
        if not self._draining.is_set():
            self._drained_s = anyio.current_time() + self._limits.drain_s
            self._draining.set()

    async def _end_drain(self) -> None:
        await self._draining.wait()
        await sleep_awake(max(0.0, self._drained_s - anyio.current_time()))
        self.everything.cancel()

    def _drop_queued(self) -> None:
        """Drop the clips between stages; they count as unfinished."""
        for queue in self.queues:
            with suppress(anyio.WouldBlock, anyio.EndOfStream, anyio.ClosedResourceError):
                while True:
                    queue.receive_nowait()
