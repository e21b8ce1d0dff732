"""Looks up when a job's deployments scale to zero, if the keys allow it (main process)."""

import anyio

from captionfleet.config import DeploymentConfig
from captionfleet.deployment.plane.client import open_client
from captionfleet.deployment.plane.plane import Plane
from captionfleet.deployment.protocol.calls import Target
from captionfleet.deployment.protocol.states import DeploymentState
from captionfleet.deployment.show import cost_text, sleep_line
from captionfleet.errors import RunError

__all__ = ["standing_costs", "state_of"]

_ASK_S = 10.0  # as long as the list of models may take at the start of a run


async def state_of(deployment: DeploymentConfig) -> DeploymentState | None:
    """A deployment's state at its control plane; None if there is none, or no answer."""
    ref, key = deployment.counted_at, deployment.api_key()
    if ref is None or key is None:
        return None
    with anyio.move_on_after(_ASK_S):
        try:
            async with open_client(ref.api_base, key) as client:
                return await Plane(client).get(Target(ref.account, ref.deployment_id))
        except RunError:
            return None
    return None


def standing_costs(state: DeploymentState) -> str:
    """The current cost of a deployment, and when it scales to zero by itself."""
    return f"{state.ready} ready, {cost_text(state, state.ready)}; {sleep_line(state)}"
