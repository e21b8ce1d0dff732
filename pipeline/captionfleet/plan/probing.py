"""Finds out what is in the sources: walks them, and has headers read (main process)."""

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
from captionfleet.producer.windows import Window, asked_window, seconds_in
from captionfleet.workers.headers import read_headers

__all__ = ["MOST_PROBED", "probe_library"]

MOST_PROBED = 2000
"""Files whose headers are read; of a larger library that many, drawn by chance."""


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
    walk = Walk(config, max_seconds=max_seconds)
    drawing, unusable = await anyio.to_thread.run_sync(_walk, walk, most_probed, seed)
    headers = await read_headers(
        drawing.drawn, WorkersConfig(), max_pixels=MediaConfig().max_pixels
    )
    usable = [(source, header) for source, header in headers if isinstance(header, Header)]
    facts = (_facts(source, header, max_seconds) for source, header in usable)
    mix = tuple(one for one in facts if one.seconds > 0)
    if not mix:
        raise ConfigError("the sources hold no video whose header can be read")
    clips = round(drawing.seen * len(mix) / len(drawing.drawn))
    return Library(
        label=", ".join(printable(os.fspath(source)) for source in sources),
        clips=clips,
        mix=mix,
        unusable=drawing.seen - clips + unusable,
        is_sample=drawing.is_partial,
    )


def _walk(walk: Walk, most: int, seed: int) -> tuple[Drawing, int]:
    """The files there are, a sample of them drawn, and how many cannot be used."""
    drawing, unusable = Drawing(most, seed), 0
    for found in walk:
        if isinstance(found, Unusable):
            unusable += 1
        else:
            drawing.show(found)
    return drawing, unusable


def _facts(source: Source, header: Header, max_seconds: int) -> ClipFacts:
    window = asked_window(source.row, max_seconds) or Window(0.0, float(max_seconds))
    seconds = seconds_in(window, header.seconds)
    return ClipFacts(header.codec, header.width * header.height, seconds)
