"""Reports what a run would do, by its own first stage: `run --dry-run` (main process)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream

from captionfleet.check.estimate import Estimate, estimate
from captionfleet.check.preconditions import require_preconditions
from captionfleet.check.sources import Library, look_into
from captionfleet.config import JobConfig
from captionfleet.errors import RunError, first_run_error
from captionfleet.ledger.files.reading import number_in
from captionfleet.ledger.past_runs import read_run
from captionfleet.ledger.settled import Settled
from captionfleet.messages import Clip, Failure, Note, Outcome, printable
from captionfleet.producer import Films, check_apart, produce
from captionfleet.producer.admission import examine
from captionfleet.producer.sample import Drawing
from captionfleet.profiles import GPU_PRICES
from captionfleet.telemetry import Tally
from captionfleet.text import rough, three_digits
from captionfleet.workers.headers import open_measuring

__all__ = ["Rehearsal", "rehearse"]

_SAMPLE = 200  # files whose headers are read, for footage and tokens
_FIRST = 5
_HOUR_S = 3600.0
NEW, AGAIN, REPLACED = "new", "failed before", "to be replaced"
ForEach = Callable[[str, Clip, str], None]


@dataclass(slots=True)
class Rehearsal:
    """What a run would do and why; it counts clips, and files for those passed over.

    A clip counts once for each request, except in `clips`; `of_requests` counts by request name.
    """

    clips: int = 0
    of_requests: Counter[str] = field(default_factory=Counter)
    to_caption: Counter[str] = field(default_factory=Counter)
    failing: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    library: Library = field(default_factory=lambda: Library(Drawing(_SAMPLE)))
    estimates: tuple[Estimate, ...] = ()
    notes: list[str] = field(default_factory=list)
    hours: float | None = None
    usd: float | None = None

    def text(self) -> str:
        """All of it in words, a line for each fact."""
        rows = [
            ("would caption", self._of_clips() + _counted(self.to_caption, self._noun())),
            ("for requests", self._of_requests()),
            ("would fail", _counted(self.failing, self._noun()) if self.failing else ""),
            ("leaves", self._left()),
            ("footage", self._footage()),
            *((f"{one.deployment} tokens", _tokens(one)) for one in self.estimates),
            ("would take", self._time()),
            ("first", ", ".join(self.first)),
            *(("note", note) for note in self.notes),
        ]
        return "\n".join(f"{name:<13} {words}".rstrip() for name, words in rows if words)

    def _noun(self) -> str:
        return "captions" if +self.of_requests else "clips"

    def _of_clips(self) -> str:
        if not +self.of_requests:
            return ""
        return f"{self.clips:,} clip{'' if self.clips == 1 else 's'} for "

    def _of_requests(self) -> str:
        return ", ".join(f"{count:,} {name}" for name, count in (+self.of_requests).items())

    def _left(self) -> str:
        counts = Counter(
            {
                "captioned before": self.tally.already_captioned,
                "failed for good": self.tally.standing_failures,
            }
        )
        counts += Counter(
            {name.replace("_", " "): count for name, count in self.tally.passed_over.items()}
        )
        return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())

    def _footage(self) -> str:
        shapes = self.library.shapes
        if not shapes:
            return ""
        sent_s = self.library.clips * sum(shape.seconds for shape in shapes) / len(shapes)
        about = "about " if self.library.is_sampled else ""
        return f"{about}{rough(sent_s)} of video would be sent"

    def _time(self) -> str:
        if self.hours is None:
            return ""
        cost = "" if self.usd is None else f", ${self.usd:,.2f} on one replica each"
        return f"about {rough(self.hours * _HOUR_S)} at the last run's rate{cost}"


async def rehearse(job: JobConfig, for_each: ForEach | None = None) -> Rehearsal:
    """Go through the sources as a run would, without writing anything or sending requests.

    `for_each` is called with the reason, the clip and the request of everything to be captioned.

    Raises:
        RunError: what would end the run at once.
    """
    await anyio.to_thread.run_sync(check_apart, job)
    known_before = await require_preconditions(job)
    rehearsal, settled = Rehearsal(), await examine(job)
    clips_out, clips_in = anyio.create_memory_object_stream[Clip](64)
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome | Note](64)
    try:
        async with (
            open_measuring(job.workers, job.media) as measure,
            anyio.create_task_group() as tasks,
        ):
            films = await Films.of(job, measure, is_guess=True)
            tasks.start_soon(_take_clips, clips_in, settled, rehearsal, for_each)
            tasks.start_soon(_take_outcomes, outcomes_in, rehearsal)
            await produce(job, settled, rehearsal.tally, clips_out, outcomes_out, films)
    except* RunError as group:
        raise first_run_error(group) from None
    await look_into(rehearsal.library, job, settled, films)
    rehearsal.library.counted = rehearsal.clips
    found = (estimate(job, one, rehearsal.library, None) for one in job.deployments)
    rehearsal.estimates = tuple(one for one in found if one is not None)
    last = await anyio.to_thread.run_sync(read_run, job.output.dir)
    _foretell(rehearsal, job, last)
    rehearsal.notes = [*_notes(films), *known_before]
    return rehearsal


def _notes(films: Films) -> list[str]:
    """Notes on what a run would do in addition."""
    if not films.has_guessed:
        return []
    words = (
        "scenes are known only after decoding: other films count as windows of max_seconds, so "
        "there will be more and shorter clips"
    )
    return [words]


async def _take_clips(
    clips: MemoryObjectReceiveStream[Clip],
    settled: Settled,
    rehearsal: Rehearsal,
    for_each: ForEach | None,
) -> None:
    latest = None
    async with clips:
        async for clip in clips:
            rehearsal.clips += 1
            for request in clip.requests:
                reason = _reason(clip, request, settled)
                rehearsal.to_caption[reason] += 1
                rehearsal.of_requests[request] += bool(request)
                if for_each is not None:
                    for_each(reason, clip, request)
            if len(rehearsal.first) < _FIRST:
                rehearsal.first.append(printable(clip.source.name))
            if clip.source is not latest:  # windows of one film count as one file
                rehearsal.library.drawing.show(clip.source)
                latest = clip.source


async def _take_outcomes(
    outcomes: MemoryObjectReceiveStream[Outcome | Note], rehearsal: Rehearsal
) -> None:
    async with outcomes:
        async for outcome in outcomes:
            if isinstance(outcome, Failure):
                rehearsal.failing[outcome.code] += 1


def _reason(clip: Clip, request: str, settled: Settled) -> str:
    if settled.is_replaced(clip.clip_id, request):
        return REPLACED
    return AGAIN if settled.failed_before(clip.clip_id, request) else NEW


def _foretell(rehearsal: Rehearsal, job: JobConfig, last: dict[str, Any]) -> None:
    """Estimate hours from the folder's last rate, and dollars from GPU prices."""
    rate = number_in(last, "clips_per_s")
    clips = rehearsal.to_caption.total()
    if not rate or not clips:
        return
    rehearsal.hours = clips / rate / _HOUR_S
    prices = [GPU_PRICES.get(one.known_as.gpu or "") for one in job.deployments]
    if prices and all(prices):
        rehearsal.usd = rehearsal.hours * sum(one.usd_per_hour for one in prices if one)


def _counted(counts: Counter[str], noun: str) -> str:
    of_what = ", ".join(f"{count:,} {name}" for name, count in counts.most_common())
    return f"{counts.total():,} {noun}" + (f": {of_what}" if counts else "")


def _tokens(one: Estimate) -> str:
    known = "unknown" if one.prompt_tokens is None else f"about {three_digits(one.prompt_tokens)}"
    return f"{known} in, about {three_digits(one.completion_tokens)} out, if it does all"
