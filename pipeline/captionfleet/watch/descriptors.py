"""Ensures enough file descriptors for the requests in flight (main process)."""

import resource

from captionfleet.config import DeploymentConfig, JobConfig
from captionfleet.telemetry import get_log

__all__ = ["descriptors_needed", "within_descriptors"]

_OWN = 64
_PER_REQUEST = 3  # a connection, and the two media files while they are sent
_PER_WORKER = 4


def descriptors_needed(job: JobConfig) -> int:
    """The most descriptors that the main process holds at once."""
    return _besides(job) + _PER_REQUEST * _requests(job)


def within_descriptors(job: JobConfig) -> JobConfig:
    """Raise this process's soft limit as far as needed and allowed.

    If that is too little, the returned job allows fewer requests in flight: otherwise clips would
    fail for lack of descriptors.
    """
    needed = descriptors_needed(job)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= needed:
        return job
    allowed = needed if hard == unlimited else min(needed, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return job if allowed == needed else _lowered(job, allowed, needed)


def _lowered(job: JobConfig, allowed: int, needed: int) -> JobConfig:
    share = max(0, allowed - _besides(job)) / (_PER_REQUEST * _requests(job))
    lower = tuple(_with_share(one, share) for one in job.deployments)
    job = job.model_copy(update={"deployments": lower})
    get_log().warning(
        "too few file descriptors, so fewer requests are in flight: raise `ulimit -Hn`",
        allowed=allowed,
        needed=needed,
        most_in_flight=_requests(job),
    )
    return job


def _with_share(deployment: DeploymentConfig, share: float) -> DeploymentConfig:
    ceiling = max(1, int(deployment.max_in_flight * share))
    return deployment.model_copy(update={"max_in_flight": ceiling})


def _besides(job: JobConfig) -> int:
    return _OWN + _PER_WORKER * job.workers.processes_here


def _requests(job: JobConfig) -> int:
    return sum(deployment.most_in_flight for deployment in job.deployments)
