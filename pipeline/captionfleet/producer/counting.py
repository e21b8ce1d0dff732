"""Counts a run's clips ahead of the run, for its progress bar (main process)."""

from collections.abc import Collection, Iterable

import anyio

from captionfleet.config import JobConfig
from captionfleet.errors import ConfigError
from captionfleet.ledger.settled import Settled
from captionfleet.messages import Clip
from captionfleet.producer.films import Films
from captionfleet.producer.walking.found import Found, Unusable, source_of
from captionfleet.producer.walking.job_walk import walk_of
from captionfleet.producer.walking.walk import NotCountedError
from captionfleet.telemetry import Tally, monotonic_s

__all__ = ["count_ahead", "left_to_ask"]


async def count_ahead(job: JobConfig, settled: Settled, tally: Tally, films: Films) -> None:
    """Walk all sources once more, ahead of the run, and count the clips that need a caption.

    The walk reads only names, sizes and times, and takes at most half a core. If a job asks for all
    windows, it measures films that were never measured, and the run uses the result. With `identity
    = "content"`, copies of one file count separately, because content is not read here. The
    producer reports errors of sources.
    """
    retried = frozenset(job.input.retry_failed)
    requests = [request.name for request in job.asked]
    clips = 0
    walk = walk_of(job, is_second=True)
    while True:
        begun_s = monotonic_s()
        try:
            batch = await walk.next_batch()
        except (ConfigError, NotCountedError):
            return
        if not batch:
            tally.outlook.is_whole = True
            return
        for found in batch:
            for clip in await _clips(found, films):
                left = left_to_ask(clip, requests, settled, retried)
                for _ in left:
                    tally.outlook.expect(clip)
                clips += bool(left)
                if clips and clips == job.input.limit:
                    tally.outlook.is_whole = True
                    return
        await anyio.sleep(monotonic_s() - begun_s)


async def _clips(found: Found, films: Films) -> tuple[Clip, ...]:
    cut = None if isinstance(found, Unusable) else await films.cut(found)
    return films.planned(source_of(found), cut)


def left_to_ask(
    clip: Clip, requests: Iterable[str], settled: Settled, retried: Collection[str]
) -> tuple[str, ...]:
    """The requests that the clip still needs, without marking it as seen."""
    identity = clip.clip_id
    return tuple(
        one
        for one in requests
        if not settled.has_counting(identity, one)
        and not settled.stands_failed(identity, retried, one)
    )
