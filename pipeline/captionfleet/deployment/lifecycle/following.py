"""Follows the number of a deployment's replicas during a run (main process)."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from captionfleet.deployment.plane.plane import Plane
from captionfleet.deployment.protocol.calls import Target
from captionfleet.deployment.protocol.refusals import ControlError, UnansweredError
from captionfleet.deployment.protocol.states import DeploymentState
from captionfleet.deployment.show import sleep_line
from captionfleet.telemetry import get_log, monotonic_s

__all__ = ["Replicas", "follow", "say_that_it_stays_on"]

_POLL_S = 15.0
_MOST_CHANGES = 1000
_SURE_LOOKS = 4  # at 15 s each, a minute of refusals


@dataclass(slots=True)
class Replicas:
    """The number of ready replicas over time, and the last state seen."""

    started_s: float
    last: DeploymentState | None = None
    history: list[tuple[float, int]] = field(default_factory=list)

    def count(self, state: DeploymentState) -> bool:
        """Record a state; return whether the number changed."""
        self.last, ready = state, state.ready
        if self.history and self.history[-1][1] == ready:
            return False
        if len(self.history) < _MOST_CHANGES:
            self.history.append((round(monotonic_s() - self.started_s, 3), ready))
        return True


def say_that_it_stays_on(replicas: Replicas, *, is_own: bool) -> None:
    """Log when a deployment that stays on after the run scales to zero, or that it never does.

    It is a warning only for a deployment that the run brought up: others are their owners' choice.
    """
    state = replicas.last
    if state is not None and not state.is_off:
        say = get_log().warning if is_own else get_log().info
        say("a deployment stays on", note=sleep_line(state))


async def follow(
    plane: Plane,
    target: Target,
    replicas: Replicas,
    on_count: Callable[[int], None],
    poll_s: float | None,
) -> None:
    """Poll the state, and call `on_count` with every change.

    A control plane that does not answer, or that limits calls, changes nothing; four refusals in a
    row end the polling.
    """
    refusals = 0
    while True:
        try:
            state = await plane.get(target)
        except UnansweredError:
            pass
        except ControlError as error:
            refusals += 1
            if refusals == _SURE_LOOKS:
                get_log().info("replicas are not counted", reason=str(error))
                return
        else:
            refusals = 0
            if replicas.count(state):
                on_count(state.ready)
        await anyio.sleep(poll_s or _POLL_S)
