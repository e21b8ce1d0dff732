"""Prepares the clips that a bench sends: a sample of the sources, or generated ones (main)."""

import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal

import anyio
import anyio.to_thread
from anyio import create_memory_object_stream, create_task_group
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from captionfleet.bench.gauge import Gauge
from captionfleet.config import JobConfig
from captionfleet.errors import ConfigError, FailureCode
from captionfleet.media.orders import Header
from captionfleet.messages import UNKNOWN_FILM, Clip, Failure, Film, Outcome, ReadyClip, Source
from captionfleet.producer import Films, check_sources, check_store_apart
from captionfleet.producer.identity.clips import plan
from captionfleet.producer.sample import Drawing
from captionfleet.producer.walking.walk import Walk
from captionfleet.telemetry import get_log
from captionfleet.workers.headers import read_headers
from captionfleet.workers.pool import work
from captionfleet.workers.workspace import open_workspace

__all__ = ["Busyness", "Generated", "Media", "open_media"]

Busyness = Literal["still", "calm", "busy"]

_GRAIN: dict[Busyness, int] = {"still": 0, "calm": 6, "busy": 24}
_LOOKED_AT = 100_000  # files of a library from which the sample is drawn
_FPS = 2  # of generated clips: one frame a second is taken


@dataclass(frozen=True, slots=True)
class Generated:
    """Clips to generate: how many, how long, and how much happens in them."""

    clips: int
    seconds: float
    busyness: Busyness


@dataclass(frozen=True, slots=True)
class Media:
    """Prepared clips; `of_files` is the number of files sampled, None for generated clips."""

    ready: tuple[ReadyClip, ...]
    failed: int
    of_files: int | None

    @property
    def prepare_s(self) -> float | None:
        """Mean seconds that a worker of this machine needs for a clip.

        None where none was prepared just now: generated clips are cheaper than real ones, and
        others may come from the store.
        """
        fresh = [one.prepare_s for one in self.ready if one.decode_s is not None]
        return sum(fresh) / len(fresh) if fresh and self.of_files is not None else None

    @property
    def clip_s(self) -> float:
        """Mean seconds of video that a clip covers."""
        ends = (min(one.clip.end_s, one.facts.source_s) - one.clip.start_s for one in self.ready)
        return sum(max(0.0, seconds) for seconds in ends) / len(self.ready)


@asynccontextmanager
async def open_media(
    job: JobConfig, generated: Generated, gauge: Gauge, *, sample: int, seed: int
) -> AsyncIterator[Media]:
    """Prepare `sample` clips of the job's sources, drawn with `seed`, or generate clips.

    The media are on disk while the block runs; `gauge` counts them.

    Raises:
        ConfigError: a source is missing, or none of the sample can be prepared.
        OutputError: the media store cannot be written.
    """
    async with anyio.TemporaryDirectory(prefix="captionfleet-bench-") as folder:
        of_files = None
        if job.input.sources:
            drawing = await _drawn(job, sample, seed)
            clips, of_files = await _clips(job, drawing.drawn, sample, seed), drawing.seen
        else:
            sources = await anyio.to_thread.run_sync(_generate, Path(folder), generated, seed)
            clips = [clip for source in sources for clip in plan(source, job.media)]
        gauge.clips = len(clips)
        async with open_workspace(job.store) as workspace:
            clips_out, clips_in = create_memory_object_stream[Clip](len(clips))
            ready_out, ready_in = create_memory_object_stream[ReadyClip](4)
            outcomes_out, outcomes_in = create_memory_object_stream[Outcome](len(clips))
            async with create_task_group() as stages:
                stages.start_soon(_feed, clips, clips_out)
                stages.start_soon(
                    work, job, workspace, gauge.tally, clips_in, ready_out, outcomes_out
                )
                ready = await _collected(ready_in)
            failed = await _count_failures(outcomes_in)
            if not ready:
                raise ConfigError(f"none of the {len(clips)} clips to send can be prepared")
            yield Media(tuple(ready), failed, of_files)


async def _feed(clips: Sequence[Clip], clips_out: MemoryObjectSendStream[Clip]) -> None:
    async with clips_out:
        for clip in clips:
            await clips_out.send(clip)


async def _collected(ready_in: MemoryObjectReceiveStream[ReadyClip]) -> list[ReadyClip]:
    """All prepared clips, in an order that does not depend on the workers' speed."""
    async with ready_in:
        return sorted([one async for one in ready_in], key=lambda one: one.clip.clip_id)


async def _count_failures(outcomes_in: MemoryObjectReceiveStream[Outcome]) -> int:
    failed = 0
    async with outcomes_in:
        async for outcome in outcomes_in:
            if isinstance(outcome, Failure):
                failed += 1
                get_log().warning(
                    "clip left out", source=outcome.clip.source.name, code=outcome.code.value
                )
    return failed


async def _drawn(job: JobConfig, sample: int, seed: int) -> Drawing:
    await anyio.to_thread.run_sync(check_sources, job.input)
    await anyio.to_thread.run_sync(check_store_apart, job)
    walk = Walk(job.input, max_seconds=job.media.max_seconds)
    drawing = Drawing(sample, seed)
    while drawing.seen < _LOOKED_AT and (batch := await walk.next_batch()):
        for found in batch:
            if isinstance(found, Source):
                drawing.show(found)
    if not drawing.drawn:
        raise ConfigError("no video among the sources")
    return drawing


async def _clips(job: JobConfig, sources: Sequence[Source], sample: int, seed: int) -> list[Clip]:
    """The clips of these files; for jobs that caption whole films, `sample` random windows."""
    films = await Films.of(job, is_guess=True)
    if job.input.segments == "first":
        return [clip for source in sources for clip in films.clips_in(source, UNKNOWN_FILM)]
    headers = await read_headers(sources, job.workers, max_pixels=job.media.max_pixels)
    by_path = sorted(headers, key=lambda found: found[0].known_path)  # at any speed of the workers
    windows = [
        clip
        for source, header in by_path
        for clip in films.clips_in(source, Film(_seconds(header)))
    ]
    dice = random.Random(seed)  # noqa: S311 - repeatable, guards nothing
    return dice.sample(windows, min(sample, len(windows)))


def _seconds(header: Header | FailureCode) -> float:
    return 0.0 if isinstance(header, FailureCode) else header.seconds


def _generate(folder: Path, generated: Generated, seed: int) -> list[Source]:
    # Imported here: only generating needs numpy and FFmpeg.
    from captionfleet.standin.films.film import Film, Look, Sound, write_film  # noqa: PLC0415

    def films() -> Iterable[Film]:
        scene = seed
        while True:
            scene_s = 3 + 0.01 * (scene - seed)  # all clips differ, as servers cache
            look = Look(scene_s, first_scene=scene, grain=_GRAIN[generated.busyness])
            yield Film(
                seconds=generated.seconds,
                fps=Fraction(_FPS),
                look=look,
                sounds=(Sound(layout="mono", start_s=scene_s - 3),),
            )
            scene += 1

    sources = []
    for number, film in enumerate(islice(films(), generated.clips)):
        path = write_film(folder / f"generated-{number}.mp4", film)
        stat = path.stat()
        sources.append(Source(str(path), path.name, stat.st_size, stat.st_mtime_ns))
    return sources
