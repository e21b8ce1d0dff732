"""Counts a deployment's replicas for as long as a run goes on (main process)."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from captionfleet.deployment.plane.plane import Plane
from captionfleet.deployment.protocol.calls import Target
from captionfleet.deployment.protocol.refusals import ControlError, QuotaError, UnansweredError
from captionfleet.telemetry import get_log, monotonic_s

__all__ = ["Replicas", "follow"]

_POLL_S = 15.0
_MOST_CHANGES = 1000


@dataclass(slots=True)
class Replicas:
    """How many replicas were ready, over time."""

    started_s: float
    history: list[tuple[float, int]] = field(default_factory=list)

    def count(self, ready: int) -> bool:
        """Note a count; whether it is another than before."""
        if self.history and self.history[-1][1] == ready:
            return False
        if len(self.history) < _MOST_CHANGES:
            self.history.append((round(monotonic_s() - self.started_s, 3), ready))
        return True


async def follow(
    plane: Plane,
    target: Target,
    replicas: Replicas,
    on_count: Callable[[int], None],
    poll_s: float | None,
) -> None:
    """Look again and again, and call `on_count` with every change.

    A control plane that does not answer, or was asked too often, changes nothing; one that
    refuses ends it.
    """
    while True:
        try:
            state = await plane.get(target)
        except (UnansweredError, QuotaError):
            pass
        except ControlError as error:
            get_log().info("replicas are not counted", reason=str(error))
            return
        else:
            if replicas.count(state.ready):
                on_count(state.ready)
        await anyio.sleep(poll_s or _POLL_S)
