"""The first stage: every file a job names becomes clips, and most of them work (main process)."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import anyio.to_thread
from anyio.streams.memory import MemoryObjectSendStream

from captionfleet.config import JobConfig
from captionfleet.errors import ConfigError, FailureCode, Stage
from captionfleet.ledger.films import KnownFilms
from captionfleet.ledger.settled import Settled
from captionfleet.messages import Adopted, Clip, Failure, Note, Outcome, SameFile, Source, printable
from captionfleet.messages.address import is_address, shown_name
from captionfleet.producer.asking import Asking
from captionfleet.producer.films import Cut, Films
from captionfleet.producer.identity.clips import plan
from captionfleet.producer.identity.content import read_content
from captionfleet.producer.identity.lookalikes import Lookalikes
from captionfleet.producer.identity.recognition import Recognition
from captionfleet.producer.sources import check_sources, is_list, is_remote, may_have_rows
from captionfleet.producer.unreached import keep_failures_elsewhere
from captionfleet.producer.walking.found import Found, Unusable, source_of
from captionfleet.producer.walking.selection import PassedOver
from captionfleet.producer.walking.walk import Walk
from captionfleet.telemetry import Tally

__all__ = ["produce"]


async def produce(  # noqa: C901, PLR0913, PLR0917 - a stage with two streams
    job: JobConfig,
    settled: Settled,
    tally: Tally,
    clips_out: MemoryObjectSendStream[Clip],
    outcomes_out: MemoryObjectSendStream[Outcome | Note],
    films: Films | None = None,
) -> None:
    """Send every clip that needs a caption, and a failure for each that cannot be had.

    Told as well is what had to be read to be known, so that it need not be read again. Closes
    both streams. `films` cuts them into windows, for jobs that ask for all of a film.
    `tally.planned_total` is set only if all sources were walked to the end.

    Raises:
        ConfigError: a source is missing, a list cannot be read, or there is no file to take.
    """
    async with clips_out, outcomes_out:
        await anyio.to_thread.run_sync(check_sources, job.input)
        walk = Walk(job.input, settle_s=job.input.settle_s, max_seconds=job.media.max_seconds)
        films = films or Films(job, KnownFilms())
        choice = _Choice(job, settled, tally, films)
        lookalikes, by_name = Lookalikes(settled), job.input.identity == "stat"
        recognition = Recognition(job, settled)
        is_empty = True
        clips, latest = 0, ""
        cutting = _Cutting(recognition, films)
        while batch := await walk.next_batch():
            is_empty = False
            usable = [one for one in batch if isinstance(one, Source)]
            for adopted in await anyio.to_thread.run_sync(recognition.see, usable):
                await outcomes_out.send(adopted)
            async with films.ahead(usable, job.workers.processes):
                for found in batch:
                    if by_name and not lookalikes.is_over and isinstance(found, Source):
                        for clip in plan(found, job.media):
                            await lookalikes.see(clip)
                    cut, adoptions = await cutting.look_into(found)
                    for adopted in adoptions:
                        await outcomes_out.send(adopted)
                    for todo in await choice.to_do(found, cut):
                        if isinstance(todo, SameFile):
                            await outcomes_out.send(todo)
                            continue
                        clip = _clip_of(todo)
                        clips, latest = clips + (clip.clip_id != latest), clip.clip_id
                        # Before it is sent: what never arrives is unfinished.
                        tally.planned += len(clip.requests)
                        if isinstance(todo, Clip):
                            await clips_out.send(todo)
                        else:
                            for failure in todo.for_each_request():
                                await outcomes_out.send(failure)
                        if clips == job.input.limit:
                            return
            tally.passed_over = walk.passed_over + choice.passed_over
        tally.passed_over = walk.passed_over + choice.passed_over
        _require_videos(job, walk.passed_over, is_empty=is_empty)
        await lookalikes.conclude()
        requests = [request.name for request in job.asked]
        await keep_failures_elsewhere(job.input, requests, settled)
        tally.planned_total = tally.planned
        recognition.warn(tally)


def _require_videos(job: JobConfig, passed_over: Counter[str], *, is_empty: bool) -> None:
    """Refuse folders without a single video: their disk may not be mounted.

    A list may be empty, and so may a share of a library.
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
        f"no video in {where} ({seen}): {question} --allow-empty lets a run find nothing"
    )


class _Cutting:
    """Which windows the films are cut into, where a job asks for all of a film."""

    def __init__(self, recognition: Recognition, films: Films) -> None:
        self._recognition = recognition
        self._films = films

    async def look_into(self, found: Found) -> tuple[Cut | None, list[Adopted]]:
        """All windows of a film, and which of them were captioned under a former id."""
        if isinstance(found, Unusable):
            return None, []
        cut = await self._films.cut(found)
        if cut is None:
            return None, []
        clips = self._films.planned(found, cut)
        return cut, await anyio.to_thread.run_sync(self._recognition.see_clips, clips)


def _clip_of(todo: Clip | Failure) -> Clip:
    return todo if isinstance(todo, Clip) else todo.clip


class _Choice:
    """Which clips of what was found are to be done, and for which of the job's requests."""

    def __init__(self, job: JobConfig, settled: Settled, tally: Tally, films: Films) -> None:
        self.passed_over: Counter[str] = Counter()
        self._job = job
        self._films = films
        self._settled = settled
        self._tally = tally
        self._retried = frozenset(job.input.retry_failed)
        self._requests = tuple(request.name for request in job.asked)
        self._asking = Asking(job)
        self._begun: set[int] = set()
        # A row may ask for a window that is one of its film's, too.
        self._may_repeat = job.input.segments != "first" and any(
            map(may_have_rows, job.input.sources)
        )

    async def to_do(self, found: Found, cut: Cut | None = None) -> list[Clip | Failure | SameFile]:
        """The clips of one file that need a caption, or why they cannot have one.

        Its bytes are read only where its name, size and time do not settle it, so a library that
        was captioned is not read again every night.
        """
        source = source_of(found)
        rest = self._rest(source, cut.problem) if cut and cut.problem else []
        return [*await self._known_to_do(found, cut), *rest]

    async def _known_to_do(self, found: Found, cut: Cut | None) -> list[Clip | Failure | SameFile]:
        source = source_of(found)
        planned = self._unrepeated(self._films.planned(source, cut))
        # An object's ETag says what it holds; its bytes are not fetched to be hashed.
        by_name = self._job.input.identity == "stat" or is_address(source.path)
        is_final = by_name or isinstance(found, Unusable)
        left = (self._left(clip, is_final=is_final) for clip in planned)
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
        """What stands for the unknown windows of a film that could not be measured this time."""
        unknown = map(self._left, self._films.unknown_windows(source))
        clip = next(one for one in unknown if one.requests)
        detail = "the film could not be measured this time: this and later windows are left out"
        return [Failure(clip, Stage.PRODUCER, problem, detail)]

    def _unrepeated(self, clips: Sequence[Clip]) -> Sequence[Clip]:
        if not self._may_repeat:
            return clips
        return [clip for clip in clips if not self._is_begun(clip)]

    def _first(self, clips: Iterable[Clip]) -> Iterator[Clip | Failure | SameFile]:
        """Those that no file of the same bytes has begun in this run, or settled before."""
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
        self._begun.add(identity)
        return False

    def _left(self, clip: Clip, *, is_final: bool = True) -> Clip:
        """The clip with the requests that it still needs an answer to.

        The others are counted, unless the clip is looked at once more, by its content.
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
