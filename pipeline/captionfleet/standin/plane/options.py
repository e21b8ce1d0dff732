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
        """The same at another pace."""
        return ColdStart(
            self.pending_s * factor, self.downloading_s * factor, self.initializing_s * factor
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneOptions:
    """One account at a control plane, and the replicas of its deployments.

    Attributes:
        port: 0 takes any free one.
        replica: what every replica of every deployment is; its key is the account's.
        read_only_key: a key that may look and ask for captions, and change nothing.
        time_scale: what all durations are multiplied by: 0.01 makes a minute 0.6 seconds.
        gpu_quota: GPUs that the deployments' `maxReplicaCount` may sum up to.
        autoscale: (requests, replicas): from that many requests on a deployment has so many
            replicas, whatever its load; without it, the load decides.
        preempt_after: the request, of those that find a replica, at which the oldest one is taken
            away.
        drops_policy: whether a PATCH loses the autoscaling policy even with an update mask.
        control_faults: what goes wrong with calls to the control plane, earlier ones first.
        shows_after_s: looks and changes find a new deployment after that time only.
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
        ValueError: the text is no such list.
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
        raise ValueError(f"{text!r} is no autoscale; write REQUESTS:REPLICAS,..., as in 1:2,12:1")
    return tuple(sorted(steps))
