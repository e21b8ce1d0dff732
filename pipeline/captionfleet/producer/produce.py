"""The first stage: turns source files into clips, and queues those that need captions (main)."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio.to_thread
from anyio.streams.memory import MemoryObjectSendStream

from captionfleet.config import JobConfig
from captionfleet.errors import ConfigError, FailureCode, Stage
from captionfleet.ledger.films import KnownFilms
from captionfleet.ledger.settled import Settled
from captionfleet.messages import (
    NO_ROW,
    Clip,
    Failure,
    Note,
    Outcome,
    SameFile,
    Source,
    printable,
)
from captionfleet.messages.address import is_address, shown_name
from captionfleet.producer.asking import Asking, telling_apart
from captionfleet.producer.films import Cut, Films
from captionfleet.producer.identity.clips import plan
from captionfleet.producer.identity.content import read_content
from captionfleet.producer.identity.lookalikes import Lookalikes
from captionfleet.producer.identity.recognition import Recognition
from captionfleet.producer.lists.rows import BadRow
from captionfleet.producer.sources import check_sources, is_list, is_remote, may_have_rows
from captionfleet.producer.unreached import keep_failures_elsewhere
from captionfleet.producer.walking.found import Found, Unusable, bad_row, source_of
from captionfleet.producer.walking.job_walk import walk_of
from captionfleet.producer.walking.passed_over import PassedOver
from captionfleet.producer.walking.repeats import Repeats
from captionfleet.telemetry import Tally

__all__ = ["produce", "require_videos"]


async def produce(  # noqa: PLR0913, PLR0917 - a stage with two streams
    job: JobConfig,
    settled: Settled,
    tally: Tally,
    clips_out: MemoryObjectSendStream[Clip],
    outcomes_out: MemoryObjectSendStream[Outcome | Note],
    films: Films | None = None,
) -> None:
    """Send every clip that needs a caption, and a failure for each that cannot get one.

    It also sends notes of measured or hashed films, so that later runs need not repeat it, and
    closes both streams. `films` cuts films into windows, for jobs that caption whole films.
    `tally.planned_total` is set only if all sources were walked to the end.

    Raises:
        ConfigError: a source is missing, a list cannot be read, or the sources hold no video.
    """
    async with clips_out, outcomes_out:
        await anyio.to_thread.run_sync(check_sources, job.input)
        films = films or Films(job, KnownFilms())
        await _Stage(job, settled, tally, clips_out, outcomes_out, films).run()


@dataclass(slots=True)
class _Stage:
    job: JobConfig
    settled: Settled
    tally: Tally
    clips_out: MemoryObjectSendStream[Clip]
    outcomes_out: MemoryObjectSendStream[Outcome | Note]
    films: Films
    clips: int = 0
    latest: str = ""
    choice: "_Choice" = field(init=False)
    recognition: Recognition = field(init=False)
    lookalikes: Lookalikes = field(init=False)

    def __post_init__(self) -> None:
        self.choice = _Choice(self.job, self.settled, self.tally, self.films)
        self.recognition = Recognition(self.job, self.settled)
        self.lookalikes = Lookalikes(self.settled)

    async def run(self) -> None:
        given = self.job.input
        walk = walk_of(self.job, settle_s=given.settle_s)
        is_empty = True
        while batch := await walk.next_batch():
            is_empty = False
            if await self._take(batch):
                return
            self.tally.passed_over = walk.passed_over + self.choice.passed_over
        self.tally.passed_over = walk.passed_over + self.choice.passed_over
        require_videos(self.job, walk.passed_over, is_empty=is_empty)
        await self.lookalikes.conclude()
        requests = [request.name for request in self.job.asked]
        await keep_failures_elsewhere(given, requests, self.settled)
        self.tally.planned_total = self.tally.planned
        self.recognition.warn(self.tally)

    async def _take(self, batch: Sequence[Found]) -> bool:
        """Send the clips of these files; return whether the job has enough clips."""
        usable = [one for one in batch if isinstance(one, Source)]
        for adopted in await anyio.to_thread.run_sync(self.recognition.see, usable):
            await self.outcomes_out.send(adopted)
        async with self.films.ahead(usable, self.job.workers.processes):
            for found in batch:
                await self._compare(found)
                for todo in await self.choice.to_do(found, await self._cut(found)):
                    await self._send(todo)
                    if self.clips == self.job.input.limit:
                        return True
        return False

    async def _compare(self, found: Found) -> None:
        """Check whether a known library looks new by its names or times alone."""
        is_by_name = self.job.input.identity == "stat" and not self.lookalikes.is_over
        if is_by_name and isinstance(found, Source):
            for clip in plan(found, self.job.media):
                await self.lookalikes.see(clip)

    async def _cut(self, found: Found) -> Cut | None:
        """All windows of a film, for a job that asks for them; adopts captions under former ids."""
        cut = None if isinstance(found, Unusable) else await self.films.cut(found)
        if cut is not None and isinstance(found, Source):
            clips = self.films.planned(found, cut)
            for adopted in await anyio.to_thread.run_sync(self.recognition.see_clips, clips):
                await self.outcomes_out.send(adopted)
        return cut

    async def _send(self, todo: Clip | Failure | SameFile) -> None:
        if isinstance(todo, SameFile):
            await self.outcomes_out.send(todo)
            return
        clip = todo if isinstance(todo, Clip) else todo.clip
        self.clips, self.latest = self.clips + (clip.clip_id != self.latest), clip.clip_id
        # Counted before it is sent, so that a clip that never arrives counts as unfinished.
        self.tally.planned += len(clip.requests)
        if isinstance(todo, Clip):
            await self.clips_out.send(todo)
        else:
            for failure in todo.for_each_request():
                await self.outcomes_out.send(failure)


def require_videos(job: JobConfig, passed_over: Counter[str], *, is_empty: bool) -> None:
    """Refuse sources without a single video: a disk may not be mounted.

    A list may be empty, and so may a shard of a library.

    Raises:
        ConfigError: the sources hold no video.
    """
    may_be_empty = job.input.allow_empty or job.input.shard
    if not is_empty or may_be_empty or all(map(is_list, job.input.sources)):
        return
    where = ", ".join(printable(shown_name(os.fspath(source))) for source in job.input.sources)
    counts = ", ".join(
        f"{number:,} {reason.replace('_', ' ')}" for reason, number in passed_over.most_common()
    )
    seen = f"passed over: {counts}: does [input] include name them?" if counts else "it is empty"
    is_far = all(map(is_remote, job.input.sources))
    question = "is the address right?" if is_far else "is the folder mounted?"
    raise ConfigError(
        f"no video in {where} ({seen}): {question} --allow-empty accepts empty sources"
    )


class _Choice:
    """Selects the clips that need a caption, and the requests that each needs."""

    def __init__(self, job: JobConfig, settled: Settled, tally: Tally, films: Films) -> None:
        self.passed_over: Counter[str] = Counter()
        self._job = job
        self._films = films
        self._settled = settled
        self._tally = tally
        self._retried = frozenset(job.input.retry_failed)
        self._requests = tuple(request.name for request in job.asked)
        self._asking = Asking(job)
        self._repeats = Repeats(telling_apart(job))
        self._begun: dict[int, int] = {}
        # A row may ask for a window that is also one of its film's.
        self._may_repeat = job.input.segments != "first" and any(
            map(may_have_rows, job.input.sources)
        )

    async def to_do(self, found: Found, cut: Cut | None = None) -> list[Clip | Failure | SameFile]:
        """The clips of one file that need a caption, or the failure that it has.

        Its bytes are read only if name, size and time do not identify it, so that nightly runs do
        not read a captioned library again.
        """
        source = source_of(found)
        rest = self._rest(source, cut.problem) if cut and cut.problem else []
        return [*await self._known_to_do(found, cut), *rest]

    async def _known_to_do(self, found: Found, cut: Cut | None) -> list[Clip | Failure | SameFile]:
        source = source_of(found)
        planned = self._films.planned(source, cut)
        if self._may_repeat and (why := self._contradiction(planned)):
            bad = bad_row(Path(source.row.list_path), BadRow(source.row.number, why), source.row)
            return await self._known_to_do(bad, None)
        # An object's ETag identifies its content, so its bytes need not be fetched and hashed.
        by_name = self._job.input.identity == "stat" or is_address(source.path)
        is_final = by_name or isinstance(found, Unusable)
        left = (self._left(clip, is_final=is_final) for clip in self._unrepeated(planned))
        clips = [clip for clip in left if clip.requests]
        if clips:
            self._asking.require_askable(source)
        if isinstance(found, Unusable):
            return [_failure(clip, found) for clip in clips]
        if by_name or not clips:
            return [todo for clip in clips for todo in self._asking.split(clip)]
        content = await read_content(source, self._job.workers.clip_timeout_s)
        if isinstance(content, Unusable):
            return [_failure(clip, content) for clip in clips]
        own = {(clip.start_s, clip.end_s) for clip in clips}
        by_content = self._films.planned(source, cut, content)
        return list(self._first(one for one in by_content if (one.start_s, one.end_s) in own))

    def _rest(self, source: Source, problem: FailureCode) -> list[Clip | Failure | SameFile]:
        """A failure in place of the unknown windows of a film that could not be measured."""
        unknown = map(self._left, self._films.unknown_windows(source))
        clip = next(one for one in unknown if one.requests)
        detail = "the film could not be measured this time: this and later windows are left out"
        return [Failure(clip, Stage.PRODUCER, problem, detail)]

    def _unrepeated(self, clips: Sequence[Clip]) -> Sequence[Clip]:
        if not self._may_repeat:
            return clips
        return [clip for clip in clips if not self._is_begun(clip)]

    def _contradiction(self, clips: Sequence[Clip]) -> str:
        """What a row says otherwise of a window than the row of the film, which came first."""
        row = clips[0].source.row if clips else NO_ROW
        first = self._begun.get(int(clips[0].clip_id, 16)) if clips else None
        is_window = row.start_s is not None or row.end_s is not None
        return self._repeats.contradiction(row, first) if is_window and first is not None else ""

    def _first(self, clips: Iterable[Clip]) -> Iterator[Clip | Failure | SameFile]:
        """The clips whose content no other file has, in this run or an earlier one."""
        for clip in map(self._left, clips):
            if not clip.requests or self._is_begun(clip):
                if not self._settled.is_same(clip):
                    yield SameFile(clip)
            else:
                yield from self._asking.split(clip)

    def _is_begun(self, clip: Clip) -> bool:
        identity = int(clip.clip_id, 16)
        if identity in self._begun:
            self.passed_over[PassedOver.DUPLICATE] += 1
            return True
        self._begun[identity] = self._repeats.mark(clip.source.row)
        return False

    def _left(self, clip: Clip, *, is_final: bool = True) -> Clip:
        """The clip with the requests that still need an answer.

        The answered ones are counted, unless the clip will be compared again, by content.
        """
        captioned = failed = 0
        left = []
        for name in self._requests:
            if self._settled.captioned(clip.clip_id, name):
                captioned += 1
            elif self._settled.stands_failed(clip.clip_id, self._retried, name):
                failed += 1
                self._settled.meet(clip.clip_id, name)
            else:
                left.append(name)
        if is_final or not left:
            self._tally.already_captioned += captioned
            self._tally.standing_failures += failed
        return replace(clip, requests=tuple(left))


def _failure(clip: Clip, problem: Unusable) -> Failure:
    return Failure(clip, Stage.PRODUCER, problem.code, problem.detail)
