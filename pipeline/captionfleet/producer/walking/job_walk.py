"""Makes the walk over a job's sources (main process)."""

from functools import partial

from captionfleet.config import JobConfig
from captionfleet.producer.asking import telling_apart
from captionfleet.producer.walking.apart import require_store_apart
from captionfleet.producer.walking.walk import Walk

__all__ = ["walk_of"]


def walk_of(job: JobConfig, *, settle_s: float = 0.0, is_second: bool = False) -> Walk:
    """The walk of a run; rows of one film are the same clip if its prompts take the same of both.

    Args:
        job: What to walk over.
        settle_s: How long a folder must be unchanged before its newest files are taken.
        is_second: Whether this walk only counts, beside the one that the run takes files from.
    """
    return Walk(
        job.input,
        settle_s=settle_s,
        max_seconds=job.media.max_seconds,
        is_second=is_second,
        tells_apart=telling_apart(job),
        check_folder=partial(require_store_apart, job),
    )
