"""Surveys the sources of a plan: walks them, and reads file headers (main process)."""

import os
from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread

from captionfleet.config import InputConfig, MediaConfig, WorkersConfig
from captionfleet.errors import ConfigError
from captionfleet.media.orders import Header
from captionfleet.messages import Source, printable
from captionfleet.plan.model.reference import ClipFacts, Library
from captionfleet.producer import check_sources
from captionfleet.producer.sample import Drawing
from captionfleet.producer.walking.found import Unusable
from captionfleet.producer.walking.walk import Walk
from captionfleet.producer.windows import (
    FIRST_WINDOWS,
    Cutting,
    Window,
    asked_window,
    seconds_in,
    windows_of,
)
from captionfleet.workers.headers import read_headers

__all__ = ["MOST_PROBED", "probe_library"]

MOST_PROBED = 2000
"""The most files whose headers are read; of a larger library, a random sample of this size."""
_SCENES = (
    "the number of scenes is known only after decoding: the plan counts windows of max_seconds, "
    "and the run will have more and shorter clips"
)
_MOST_IN_MIX = 20_000  # every candidate fleet is simulated with them


async def probe_library(
    sources: Sequence[Path],
    *,
    max_seconds: int,
    cutting: Cutting = FIRST_WINDOWS,
    seed: int = 0,
    most_probed: int = MOST_PROBED,
) -> Library:
    """Count the files in the sources, and read the headers of all or of a random sample.

    `cutting` cuts films into windows by the lengths in their headers.

    Raises:
        ConfigError: a source is missing, or no file in the sources is a video.
        RunError: no worker process can be started.
    """
    config = InputConfig(sources=tuple(sources))
    await anyio.to_thread.run_sync(check_sources, config)
    walk = Walk(config, max_seconds=max_seconds)
    drawing, unusable = await anyio.to_thread.run_sync(_walk, walk, most_probed, seed)
    headers = await read_headers(
        drawing.drawn, WorkersConfig(), max_pixels=MediaConfig().max_pixels
    )
    usable = [(source, header) for source, header in headers if isinstance(header, Header)]
    by_film = [_facts(source, header, max_seconds, cutting) for source, header in usable]
    by_film = [windows for windows in by_film if windows]
    mix = [one for windows in by_film for one in windows]
    if not mix:
        raise ConfigError("the sources hold no video whose header can be read")
    files = round(drawing.seen * len(by_film) / len(drawing.drawn))
    return Library(
        label=", ".join(printable(os.fspath(source)) for source in sources),
        clips=round(drawing.seen * len(mix) / len(drawing.drawn)),
        mix=tuple(mix[:: 1 + len(mix) // _MOST_IN_MIX]),
        unusable=drawing.seen - files + unusable,
        is_sample=drawing.is_partial,
        headers_read=len(usable),
        notes=(_SCENES,) if cutting.segments == "scenes" else (),
        films=files if len(mix) > len(by_film) else 0,
    )


def _walk(walk: Walk, most: int, seed: int) -> tuple[Drawing, int]:
    """Count the files, draw a sample, and count those that cannot be used."""
    drawing, unusable = Drawing(most, seed), 0
    for found in walk:
        if isinstance(found, Unusable):
            unusable += 1
        else:
            drawing.show(found)
    return drawing, unusable


def _facts(source: Source, header: Header, max_seconds: int, cutting: Cutting) -> list[ClipFacts]:
    """The clips of a film, without empty ones."""
    windows: Sequence[Window] = (Window(0.0, float(max_seconds)),)
    if asked := asked_window(source.row, max_seconds):
        windows = (asked,)
    elif cutting.segments != "first":
        windows = windows_of(header.seconds, float(max_seconds), cutting.overlap_s)
    seconds = (seconds_in(window, header.seconds) for window in windows)
    pixels = header.width * header.height
    return [ClipFacts(header.codec, pixels, one) for one in seconds if one > 0]
