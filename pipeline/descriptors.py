"""Enough file descriptors for the requests in flight (main process)."""

import resource

from pipeline.config import JobConfig
from pipeline.telemetry import get_log

__all__ = ["descriptors_needed", "ensure_descriptors"]

_OWN = 64
_PER_REQUEST = 3  # a connection, and the two media files while they are sent
_PER_WORKER = 4


def descriptors_needed(job: JobConfig) -> int:
    """How many descriptors the main process may hold at once."""
    requests = sum(deployment.most_in_flight for deployment in job.deployments)
    return _OWN + _PER_REQUEST * requests + _PER_WORKER * job.workers.processes


def ensure_descriptors(job: JobConfig) -> None:
    """Raise this process's soft limit as far as needed and allowed; warn if that is too little."""
    needed = descriptors_needed(job)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= needed:
        return
    allowed = needed if hard == unlimited else min(needed, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        get_log().warning(
            "too few file descriptors: raise `ulimit -Hn`, or lower max_in_flight",
            allowed=allowed,
            needed=needed,
        )
