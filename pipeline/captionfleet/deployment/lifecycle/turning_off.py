"""Turns off a deployment that a run had switched on (main process)."""

import anyio

from captionfleet.deployment.lifecycle.records import Record
from captionfleet.deployment.plane.plane import Plane
from captionfleet.deployment.protocol import calls
from captionfleet.deployment.protocol.refusals import BlockedError, MissingError
from captionfleet.deployment.protocol.states import DeploymentState
from captionfleet.deployment.show import cost_text

__all__ = ["turn_off"]


async def turn_off(plane: Plane, record: Record) -> str:
    """Delete or scale to zero, as the record says; return what was done, in words.

    A deployment that the run did not create is scaled to zero, never deleted; so is, without
    `ignore_checks`, one that served recently. At zero it costs nothing.

    Raises:
        ControlError: it may still be on.
    """
    target, name = record.target, record.deployment_id
    state = await _found(plane, record)
    if state is None:
        return f"{name} is gone already"
    if record.at_end == "delete" and record.created:
        try:
            await plane.delete(target, ignore_checks=record.ignore_checks)
        except BlockedError:
            await plane.rescale(target, 0, 0)
            later = calls.delete(target, ignore_checks=True).firectl
            return (
                f"{name} is off, and not deleted because it served within the last hour "
                f"(ignore_checks = true, or later: {later})"
            )
        return f"{name} is deleted"
    if state.is_off and not state.replica_count:
        return f"{name} is off already"
    was = cost_text(state, state.ready)
    await plane.rescale(target, 0, 0)
    return f"{name} is off ({was} saved)"


async def _found(plane: Plane, record: Record) -> DeploymentState | None:
    """The deployment's state, waiting for one that may yet appear; None if it does not exist."""
    while True:
        try:
            state = await plane.get_surely(record.target)
        except MissingError:
            if not record.may_yet_appear:
                return None
            await anyio.sleep(plane.client.waits.look_every_s)
        else:
            return None if state.is_gone else state
