"""One deployment of a job that the job itself switches on (main process)."""

from dataclasses import dataclass, field

import anyio
import anyio.to_thread

from pipeline.config import DeploymentConfig, LifecycleConfig
from pipeline.control.calls import Target, Wanted
from pipeline.control.owner import Owner
from pipeline.control.plane import Plane
from pipeline.control.records import Record, Records
from pipeline.control.refusals import ControlError, UnansweredError
from pipeline.control.states import DeploymentState
from pipeline.control.waiting import Patience

__all__ = ["Managed"]

_CHANGE_S = 40.0


@dataclass(slots=True)
class Managed:
    """A deployment with a life cycle.

    Attributes:
        record: what is on disk of it, or would be.
        is_recorded: whether this run has to end it.
        done: how it was ended.
    """

    deployment: DeploymentConfig
    life: LifecycleConfig
    owner: Owner
    record: Record = field(init=False)
    is_recorded: bool = False
    done: str = ""

    def __post_init__(self) -> None:
        self.record = Record(
            owner=self.owner,
            api_base=self.life.api_base,
            account=self.life.account,
            deployment_id=self.life.deployment_id,
            api_key_env=self.deployment.api_key_env,
            at_end=self.life.at_end,
            ignore_checks=self.life.ignore_checks,
        )

    @property
    def target(self) -> Target:
        """Which deployment, as calls name it."""
        return self.record.target

    @property
    def patience(self) -> Patience:
        """How long to wait until it serves."""
        return Patience(self.life.ready_timeout_s, self.life.poll_s)

    async def note(self, records: Records) -> None:
        """Put on disk that it may be on, unless it is to stay so.

        Raises:
            OutputError: it cannot be written.
        """
        if self.life.at_end != "keep":
            await anyio.to_thread.run_sync(records.write, self.record)
            self.is_recorded = True

    async def switch_on(self, plane: Plane, records: Records) -> None:
        """Create it, or scale it to what the job says; the record is written before.

        Raises:
            ControlError: it was refused, or is a deployment of another model.
        """
        async with records.exclusively():
            state = await plane.find(self.target)
            if state is None:
                self.record = self.record.model_copy(update={"created": True})
            elif state.base_model != self.life.full_model:
                name, wanted = self.life.deployment_id, self.life.full_model
                raise ControlError(f"{name} is a deployment of {state.base_model}, not of {wanted}")
            await self.note(records)
        await self._change(plane, state)

    async def _change(self, plane: Plane, state: DeploymentState | None) -> None:
        """Create or scale; not given up half-way, for the control plane may still obey."""
        wanted, bounds = self._wanted(), (self.life.min_replicas, self.life.max_replicas)
        if state is None:
            wanted = await plane.with_shape(self.life.account, wanted)
        with anyio.move_on_after(_CHANGE_S, shield=True) as scope:
            if state is None:
                await plane.create(self.target, wanted)
            elif (state.min_replica_count, state.max_replica_count) != bounds:
                await plane.rescale(self.target, *bounds)
        if scope.cancelled_caught:
            name = self.life.deployment_id
            raise UnansweredError(f"bring up {name}: no answer within {_CHANGE_S:g} s")

    def _wanted(self) -> Wanted:
        return Wanted(
            base_model=self.life.full_model,
            shape=self.life.full_shape,
            min_replicas=self.life.min_replicas,
            max_replicas=self.life.max_replicas,
            scale_to_zero_window_s=self.life.scale_to_zero_window_s,
            region=self.life.region,
            preemptible=self.life.preemptible,
        )
