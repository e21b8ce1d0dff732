"""Finds out what is in the sources: walks them, and has headers read (main process)."""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from pipeline.config import InputConfig, MediaConfig, WorkersConfig
from pipeline.errors import ConfigError, RunError, first_run_error
from pipeline.forecast.reference import ClipFacts, Library
from pipeline.messages import Source, printable
from pipeline.producer import check_sources
from pipeline.producer.walk import Unusable, Walk
from pipeline.workers.process import WorkerDied, WorkerProcess
from pipeline.workers.wire import Header, HeaderOrder

__all__ = ["MOST_PROBED", "probe_library"]

MOST_PROBED = 2000
"""Files whose headers are read; of a larger library that many, drawn by chance."""

_CPU_S = 10
_DEADLINE_S = 20.0


async def probe_library(
    sources: Sequence[Path], *, max_seconds: int, seed: int = 0, most_probed: int = MOST_PROBED
) -> Library:
    """Count the files in the sources, and read the headers of all of them or of a sample.

    Raises:
        ConfigError: a source is missing, or no file in them is a video.
        RunError: no worker process can be started.
    """
    config = InputConfig(sources=tuple(sources))
    await anyio.to_thread.run_sync(check_sources, config)
    found = await anyio.to_thread.run_sync(_walk, config, most_probed, seed)
    headers = await _read_headers(found.drawn)
    mix = tuple(_facts(header, max_seconds) for header in headers)
    if not mix:
        raise ConfigError("the sources hold no video whose header can be read")
    clips = round(found.files * len(mix) / len(found.drawn))
    return Library(
        label=", ".join(printable(os.fspath(source)) for source in sources),
        clips=clips,
        mix=mix,
        unusable=found.files - clips + found.unusable,
        is_sample=found.files > len(found.drawn),
    )


@dataclass(slots=True)
class _Found:
    """How many files there are, and those drawn of them, each as likely as any other."""

    files: int = 0
    unusable: int = 0
    drawn: list[Source] = field(default_factory=list)


def _walk(config: InputConfig, most: int, seed: int) -> _Found:
    found, dice = _Found(), random.Random(seed)  # noqa: S311 - repeatable, guards nothing
    for one in Walk(config):
        if isinstance(one, Unusable):
            found.unusable += 1
            continue
        found.files += 1
        if len(found.drawn) < most:
            found.drawn.append(one)
        elif (place := dice.randrange(found.files)) < most:
            found.drawn[place] = one
    return found


async def _read_headers(sources: Sequence[Source]) -> list[Header]:
    """The headers that can be read; a file that cannot costs itself alone."""
    headers: list[Header] = []
    left = iter(sources)
    limits = WorkersConfig()

    async def lane() -> None:
        async with WorkerProcess() as worker:
            for source in left:
                header = await _read_header(worker, source, limits.memory_bytes)
                if header is not None:
                    headers.append(header)

    problem: RunError | None = None
    try:
        async with anyio.create_task_group() as lanes:
            for _ in range(min(limits.processes, len(sources))):
                lanes.start_soon(lane)
    except* RunError as group:
        problem = first_run_error(group)
    if problem is not None:
        raise problem
    return headers


async def _read_header(worker: WorkerProcess, source: Source, memory_bytes: int) -> Header | None:
    order = HeaderOrder(source, MediaConfig().max_pixels, _CPU_S, memory_bytes)
    try:
        with anyio.fail_after(_DEADLINE_S):
            report = await worker.work_on(order)
    except (TimeoutError, WorkerDied):
        return None
    return report.result if isinstance(report.result, Header) else None


def _facts(header: Header, max_seconds: int) -> ClipFacts:
    seconds = min(header.seconds or max_seconds, max_seconds)
    return ClipFacts(header.codec, header.width * header.height, float(seconds))
