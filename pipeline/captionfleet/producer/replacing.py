"""Looks for a clip whose caption this job would replace, before a run begins (main process)."""

from collections.abc import Callable, Collection

import anyio.to_thread

from captionfleet.config import JobConfig
from captionfleet.ledger.settled import Settled
from captionfleet.messages import Clip, Source
from captionfleet.producer.identity.clips import plan
from captionfleet.producer.identity.content import read_content
from captionfleet.producer.identity.recognition import Recognition
from captionfleet.producer.walking.found import Unusable
from captionfleet.producer.walking.walk import Walk

__all__ = ["finds_replaceable"]


async def finds_replaceable(
    job: JobConfig, settled: Settled, requests: Collection[str], is_stopping: Callable[[], bool]
) -> bool:
    """Walk the sources up to the first clip with a caption of these requests that no longer counts.

    Also true if the run is stopped meanwhile. With `identity = "content"`, files are read only
    where no name, size and time matches.

    Raises:
        ConfigError: a list cannot be read.
    """

    def is_found(clip: Clip) -> bool:
        return any(settled.is_replaced(clip.clip_id, name) for name in requests)

    if await _finds(job, settled, is_found, is_stopping, by_content=False):
        return True
    is_by_content = job.input.identity == "content"
    return is_by_content and await _finds(job, settled, is_found, is_stopping, by_content=True)


async def _finds(
    job: JobConfig,
    settled: Settled,
    is_found: Callable[[Clip], bool],
    is_stopping: Callable[[], bool],
    *,
    by_content: bool,
) -> bool:
    walk = Walk(job.input, max_seconds=job.media.max_seconds)
    recognition = Recognition(job, settled)
    while batch := await walk.next_batch():
        usable = [one for one in batch if isinstance(one, Source)]
        await anyio.to_thread.run_sync(recognition.see, usable)
        for source in batch:
            if is_stopping():
                return True
            if isinstance(source, Unusable):
                continue
            content = await _content(job, source) if by_content else None
            if any(map(is_found, plan(source, job.media, content))):
                return True
    return False


async def _content(job: JobConfig, source: Source) -> bytes | None:
    content = await read_content(source, job.workers.clip_timeout_s)
    return None if isinstance(content, Unusable) else content
