"""Kills runs at random moments and keeps account of what each left behind."""

import random
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import orjson

from captionfleet.standin.server import Standin
from tests.support.command import Argument, Command, Running, until

_WITHIN_S = 120.0
_AT_WORK = 0.8


@dataclass(frozen=True, slots=True)
class Moment:
    """What was there after a kill: requests by stand-in, captioned media, prepared media."""

    requests: tuple[int, ...]
    captioned: frozenset[str]
    prepared: dict[str, tuple[int, int]]


@dataclass(slots=True)
class Killer:
    """Runs a command again and again and kills it, process group and all, until told to stop."""

    command: Command
    out: Path
    store: Path
    standins: Sequence[Standin]
    moments: list[Moment] = field(default_factory=list)
    torn: int = 0

    async def kill(
        self, words: Sequence[Argument], chance: random.Random, longest_s: float
    ) -> bool:
        """Start the command and kill it within `longest_s`; False if it ended before.

        Every fifth moment counts from the start, the others from the run's first request, and the
        first of all from the first caption, so that one at least is in the midst.
        """
        before, is_at_work = self._requests(), chance.random() < _AT_WORK
        async with self.command.started(*words) as running:
            if is_at_work:
                await until(lambda: is_over(running) or self._is_begun(before))
            with anyio.move_on_after(chance.uniform(0, longest_s)):
                await running.process.wait()
                return False
            await self._kill(running)
        self.moments.append(self._moment())
        return True

    def _is_begun(self, before: tuple[int, ...]) -> bool:
        return self._requests() != before if self.moments else b"\n" in self._raw()

    async def _kill(self, running: Running) -> None:
        running.signal_group(signal.SIGKILL)
        with anyio.fail_after(_WITHIN_S):
            await running.process.wait()

    def _moment(self) -> Moment:
        lines = self._raw().split(b"\n")
        self.torn += bool(lines[-1])
        media = (orjson.loads(line)["media"]["video_sha256"] for line in lines[:-1])
        return Moment(self._requests(), frozenset(media), prepared(self.store))

    def _requests(self) -> tuple[int, ...]:
        return tuple(standin.ledger.total for standin in self.standins)

    def _raw(self) -> bytes:
        try:
            return (self.out / "captions.jsonl").read_bytes()
        except FileNotFoundError:
            return b""

    def sent_again(self) -> int:
        """Requests for media that had their caption when a later run began."""
        return sum(
            record.ordinal > before and record.video_sha256 in moment.captioned
            for moment in self.moments
            for before, standin in zip(moment.requests, self.standins, strict=True)
            for record in standin.requests
        )

    def prepared_again(self) -> int:
        """Media that a later run wrote although they were in the store."""
        now = prepared(self.store)
        changed = {
            name
            for moment in self.moments
            for name, facts in moment.prepared.items()
            if now.get(name) != facts
        }
        return len(changed)

    def lines_per_clip(self) -> Counter[str]:
        """How many lines each source has; every line is whole."""
        raw = self._raw()
        assert raw.endswith(b"\n")
        return Counter(orjson.loads(line)["source"] for line in raw.splitlines())


def is_over(running: Running) -> bool:
    """Whether a command has ended."""
    return running.process.returncode is not None


def prepared(store: Path) -> dict[str, tuple[int, int]]:
    """The media of every whole entry of a store, as file and time of writing."""
    entries = [facts.with_suffix(".mp4") for facts in store.glob("??/*.json")]
    found = {}
    for path in entries:
        with suppress(FileNotFoundError):
            facts = path.stat()
            found[path.name] = facts.st_ino, facts.st_mtime_ns
    return found
