"""Defines the options of a stand-in control plane; pure (server's process)."""

import math
from dataclasses import dataclass, field

from captionfleet.standin.faults import Fault
from captionfleet.standin.options import StandinOptions

__all__ = ["ColdStart", "PlaneOptions", "parse_autoscale"]


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Seconds that a replica spends waiting for a machine, loading weights, and starting."""

    pending_s: float = 5.0
    downloading_s: float = 40.0
    initializing_s: float = 30.0

    def scaled(self, factor: float) -> "ColdStart":
        """The same, with all durations multiplied by `factor`."""
        return ColdStart(
            self.pending_s * factor, self.downloading_s * factor, self.initializing_s * factor
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneOptions:
    """One account at a control plane, and the replicas of its deployments.

    Attributes:
        port: 0 takes any free one.
        replica: the options of every replica; its key is the account's.
        read_only_key: a key that can read and ask for captions, but change nothing.
        time_scale: factor on all durations: 0.01 turns a minute into 0.6 seconds.
        gpu_quota: the most GPUs that all deployments can have, by their `maxReplicaCount`.
        autoscale: steps (requests, replicas): from this number of requests on, a deployment has
            this number of replicas at any load; empty for replicas by load.
        preempt_after: the request, counted among those that find a replica, at which the oldest
            replica is taken away.
        drops_policy: whether a PATCH loses the autoscaling policy even with an update mask.
        control_faults: failures of calls to the control plane; earlier ones take precedence.
        shows_after_s: seconds until calls find a new deployment.
        creation_fails: new deployments end in state FAILED.
        model_forms: the accepted ways to name a deployment in a request.
    """

    host: str = "127.0.0.1"
    port: int = 0
    account: str = "stand-in"
    replica: StandinOptions = field(default_factory=lambda: StandinOptions(strict=True))
    read_only_key: str | None = field(default=None, repr=False)
    cold_start: ColdStart = ColdStart()
    time_scale: float = 1.0
    gpu_quota: int = 8
    autoscale: tuple[tuple[int, int], ...] = ()
    preempt_after: int | None = None
    drops_policy: bool = False
    control_faults: tuple[Fault, ...] = ()
    shows_after_s: float = 0.0
    creation_fails: bool = False
    model_forms: tuple[str, ...] = ("deployment", "fireworks", "account")

    def __post_init__(self) -> None:
        if not 0 < self.time_scale < math.inf:
            raise ValueError(f"time_scale is above 0 and finite, not {self.time_scale}")
        if self.gpu_quota < 0:
            raise ValueError(f"gpu_quota is not negative: {self.gpu_quota}")

    @property
    def scaled_cold_start(self) -> ColdStart:
        """The cold start at this stand-in's pace."""
        return self.cold_start.scaled(self.time_scale)


def parse_autoscale(text: str) -> tuple[tuple[int, int], ...]:
    """Read steps such as "1:2,12:1": two replicas from the first request on, one from the 12th.

    Raises:
        ValueError: the text is not such a list.
    """
    if not text:
        return ()
    try:
        steps = tuple(
            (int(requests), int(replicas))
            for requests, replicas in (step.split(":") for step in text.split(","))
        )
    except ValueError:
        steps = ()
    if not steps or any(one < 0 for step in steps for one in step):
        raise ValueError(
            f"{text!r} is not a valid autoscale; write REQUESTS:REPLICAS,..., as in 1:2,12:1"
        )
    return tuple(sorted(steps))
