"""Manages the deployments of an account, with typed answers (main process)."""

from dataclasses import dataclass, replace

import anyio

from captionfleet.deployment.plane.client import ControlClient
from captionfleet.deployment.protocol import calls
from captionfleet.deployment.protocol.calls import Target, Wanted
from captionfleet.deployment.protocol.refusals import (
    ControlError,
    ExistsError,
    MissingError,
    UnansweredError,
)
from captionfleet.deployment.protocol.states import DeploymentPage, DeploymentState, Shapes, read
from captionfleet.telemetry import get_log

__all__ = ["Created", "Plane"]

_MOST_PAGES = 100


@dataclass(frozen=True, slots=True)
class Created:
    """A requested deployment, and whether it existed before."""

    deployment: DeploymentState
    existed: bool


class Plane:
    """The control plane's calls that the commands and the lifecycle need."""

    def __init__(self, client: ControlClient) -> None:
        self.client = client

    async def find(self, target: Target, *, surely: bool = False) -> DeploymentState | None:
        """A deployment's state; None if it does not exist, or is deleted.

        With `surely`, only several looks over some seconds prove that it does not exist.
        """
        try:
            found = await (self.get_surely(target) if surely else self.get(target))
        except MissingError:
            return None
        return None if found.is_gone else found

    async def get(self, target: Target) -> DeploymentState:
        """A deployment's state.

        Raises:
            MissingError: there is none.
        """
        call = calls.get(target)
        return read(DeploymentState, await self.client.answer(call), call.what)

    async def get_surely(self, target: Target) -> DeploymentState:
        """A deployment's state.

        Raises:
            MissingError: there was none at several looks over some seconds.
        """
        for wait_s in self.client.waits.look_again_s:
            try:
                return await self.get(target)
            except MissingError:
                await anyio.sleep(wait_s)
        return await self.get(target)

    async def list_all(self, account: str) -> list[DeploymentState]:
        """All deployments of an account except deleted ones."""
        found: list[DeploymentState] = []
        token, seen = "", {""}
        for _ in range(_MOST_PAGES):
            call = calls.list_page(account, token)
            page = read(DeploymentPage, await self.client.answer(call), call.what)
            found += page.deployments
            token = page.next_page_token
            if token in seen:
                break
            seen.add(token)
        return [one for one in found if not one.is_gone]

    async def create(self, target: Target, wanted: Wanted) -> Created:
        """Create a deployment, unless one of that name exists.

        Raises:
            QuotaError: the account has no GPU left for it.
        """
        if (there := await self.find(target)) is not None:
            return Created(there, existed=True)
        call = calls.create(target, wanted)
        try:
            made = read(DeploymentState, await self.client.answer(call), call.what)
        except (ExistsError, UnansweredError) as error:
            # The call may have created it: look.
            found = await self.find(target)
            if found is None:
                raise
            return Created(found, existed=isinstance(error, ExistsError))
        return Created(made, existed=False)

    async def with_shape(self, account: str, wanted: Wanted) -> Wanted:
        """The wanted deployment with a shape; if it names none, look one up.

        Raises:
            ControlError: the model has no shape.
        """
        if wanted.shape is not None:
            return wanted
        call = calls.match_shape(account, wanted.base_model)
        shape = read(Shapes, await self.client.answer(call), call.what).best()
        if shape is None:
            raise ControlError(f"{call.what}: the model has none; name one with --shape")
        return replace(wanted, shape=shape.name)

    async def rescale(
        self, target: Target, min_replicas: int, max_replicas: int
    ) -> DeploymentState:
        """Set the bounds of the autoscaler; 0 and 0 turn the deployment off.

        Raises:
            QuotaError: the account has no GPU left for it.
            ControlError: it had no effect, or lost the autoscaling policy.
        """
        before = await self.get(target)
        call = calls.rescale(target, min_replicas, max_replicas)
        await self.client.answer(call)
        after = await self._rescaled(target, (min_replicas, max_replicas))
        bounds = after.min_replica_count, after.max_replica_count
        if bounds != (min_replicas, max_replicas):
            raise ControlError(f"{call.what}: it still has {bounds[0]} to {bounds[1]} replicas")
        if after.autoscaling_policy != before.autoscaling_policy:
            get_log().warning(
                "the control plane lost the autoscaling policy: set its windows again",
                deployment=target.deployment_id,
            )
        return after

    async def delete(
        self, target: Target, *, ignore_checks: bool = False, hard: bool = False
    ) -> bool:
        """Delete a deployment; False if it did not exist.

        Raises:
            BlockedError: it served within the last hour, and checks are not ignored.
            ControlError: it is still there.
        """
        call, existed = calls.delete(target, ignore_checks=ignore_checks, hard=hard), True
        try:
            await self.client.answer(call)
        except MissingError:
            existed = False
        if await self._outlives_deletion(target, existed=existed):
            raise ControlError(f"{call.what}: it is still there")
        return existed

    async def _rescaled(self, target: Target, bounds: tuple[int, int]) -> DeploymentState:
        """The state after a rescale, which may show the former bounds for some seconds."""
        for wait_s in self.client.waits.look_again_s:
            after = await self.get(target)
            if (after.min_replica_count, after.max_replica_count) == bounds:
                return after
            await anyio.sleep(wait_s)
        return await self.get(target)

    async def _outlives_deletion(self, target: Target, *, existed: bool) -> bool:
        """Whether it is there after its deletion, which may take some seconds to show.

        Of one that did not exist, a single look proves nothing: the deletion was such a look.
        """
        if not existed:
            return await self.find(target, surely=True) is not None
        for wait_s in self.client.waits.look_again_s:
            if await self.find(target) is None:
                return False
            await anyio.sleep(wait_s)
        return await self.find(target) is not None
