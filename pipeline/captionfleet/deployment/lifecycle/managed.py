"""Manages one deployment that a job switches on and off (main process)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

import anyio
import anyio.to_thread
from pydantic import SecretStr

from captionfleet.config import DeploymentConfig, LifecycleConfig
from captionfleet.deployment.lifecycle.owner import Owner
from captionfleet.deployment.lifecycle.records import APPEARS_S, Record, Records
from captionfleet.deployment.lifecycle.turning_off import turn_off
from captionfleet.deployment.lifecycle.waiting import SURE_LOOKS, Patience
from captionfleet.deployment.plane.client import WAITS, Waits, key_at, open_client
from captionfleet.deployment.plane.plane import Created, Plane
from captionfleet.deployment.protocol.calls import Target, Wanted
from captionfleet.deployment.protocol.refusals import (
    NOT_DONE,
    AbortedError,
    BadRequestError,
    BlockedError,
    ControlError,
    ExistsError,
    QuotaError,
    UnansweredError,
)
from captionfleet.deployment.protocol.states import DeploymentState
from captionfleet.errors import OutputError, RunError
from captionfleet.telemetry import utc_now

__all__ = ["Managed", "Phase"]

_CHANGE_S = 40.0


class _OtherModelError(ControlError):
    """Raised when a deployment of this name exists, and is of another model."""


_CERTAIN = (BadRequestError, QuotaError, _OtherModelError)
"""Refusals that no retry changes."""
_PASSING = (AbortedError, UnansweredError)
"""What ends by itself, and is no refusal."""


class Phase(StrEnum):
    """How far this run has brought a deployment; `repr` shows the values."""

    WAITING = "waits for the first clip"
    RISING = "comes up"
    SERVING = "serves"
    FAILED = "did not come up"
    ENDED = "is turned off"


@dataclass(slots=True, repr=False)
class Managed:
    """A deployment with a life cycle.

    Attributes:
        phase: how far this run has brought it; a FAILED one may still have to be turned off.
        record: its record on disk, or the one to be written.
        is_recorded: whether this run has to turn it off.
        done: how it was turned off, for people.
    """

    deployment: DeploymentConfig
    life: LifecycleConfig
    owner: Owner
    waits: Waits = WAITS
    phase: Phase = Phase.WAITING
    record: Record = field(init=False)
    is_recorded: bool = False
    done: str = ""

    def __post_init__(self) -> None:
        self.record = Record(
            owner=self.owner,
            api_base=self.life.api_base,
            account=self.life.account,
            deployment_id=self.life.deployment_id,
            api_key_env=self.deployment.key_env_at(self.life.api_base),
            at_end=self.life.at_end,
            ignore_checks=self.life.ignore_checks,
        )

    def __repr__(self) -> str:
        return f"<{self.life.deployment_id} {self.phase}>"

    @property
    def target(self) -> Target:
        """The deployment, as calls identify it."""
        return self.record.target

    def key(self) -> SecretStr:
        """The key for its control plane.

        Raises:
            ConfigError: the variable is unset, or not named for this control plane.
        """
        one = self.deployment
        return key_at(self.life.api_base, one.api_key_env, one.key_pairs)

    @property
    def patience(self) -> Patience:
        """How long to wait until it serves."""
        appears_s = APPEARS_S if self.record.created else 0.0
        return Patience(self.life.ready_timeout_s, self.life.poll_s, appears_s)

    async def note(self, records: Records) -> None:
        """Write its record, unless the deployment is to stay on.

        Raises:
            OutputError: it cannot be written.
        """
        if self.life.at_end != "keep":
            await anyio.to_thread.run_sync(records.write, self.record)
            self.is_recorded = True

    async def bring_up(self, plane: Plane, records: Records, tell: Callable[[str], None]) -> None:
        """Switch it on, retrying within its patience; three refusals in a row end that.

        Raises:
            ControlError: it was refused, not answered in time, or serves another model.
        """
        self.phase = Phase.RISING
        problem: ControlError = UnansweredError("no answer in time")
        refusals = 0
        with anyio.move_on_after(self.patience.timeout_s):
            while True:
                try:
                    await self.switch_on(plane, records)
                except _CERTAIN:
                    raise
                except ControlError as error:
                    problem = error
                    refusals = 0 if isinstance(error, _PASSING) else refusals + 1
                    if refusals == SURE_LOOKS:
                        raise
                    tell(str(error))
                else:
                    return
                await anyio.sleep(self.patience.poll_s)
        raise problem

    async def turn_off(self) -> None:
        """Turn it off, retrying within `end_timeout_s`: hardly any refusal at night lasts.

        Raises:
            RunError: it may still be on; the latest refusal.
        """
        problem: RunError = UnansweredError("no answer in time")
        with anyio.move_on_after(self.life.end_timeout_s):
            async with open_client(self.life.api_base, self.key(), self.waits) as client:
                while True:
                    try:
                        self.done = await turn_off(Plane(client), self.record)
                    except ControlError as error:
                        problem = error
                    else:
                        self.phase = Phase.ENDED
                        return
                    await anyio.sleep(min(self.waits.again_s, self.life.poll_s))
        raise problem

    async def switch_on(self, plane: Plane, records: Records) -> None:
        """Create it, or scale it as the job says; its record is written first.

        Raises:
            ControlError: it was refused, or is a deployment of another model.
        """
        before, was_recorded = self.record, self.is_recorded
        async with records.exclusively():
            state = await plane.find(self.target)
            if state is None:
                asked = {"created": True, "asked_at_utc": utc_now()}
                self.record = before.model_copy(update=asked)
            else:
                self._check_model(state)
            await self.note(records)
        if state is not None:
            await self._rescale(plane, state)
            return
        try:
            made = await self._create(plane)
            if made.existed:
                self._check_model(made.deployment)
        except ExistsError:  # it exists although the control plane did not find it
            await self._make_known(records, created=before.created)
            raise
        except (*NOT_DONE, _OtherModelError):
            self.record = before
            await (self.note(records) if was_recorded else self.forget(records))
            raise
        if made.existed:
            await self._make_known(records, created=before.created)
            await self._rescale(plane, made.deployment)

    async def forget(self, records: Records) -> None:
        """Remove its record: it is off."""
        await anyio.to_thread.run_sync(records.remove, self.record)
        self.is_recorded = False

    async def leave(self, records: Records) -> None:
        """Leave it on for a run on another machine; its record, for a later reap, says so."""
        self.record = self.record.model_copy(update={"is_over": True})
        with suppress(OutputError):  # the record of before is kept
            await anyio.to_thread.run_sync(records.write, self.record)

    async def _make_known(self, records: Records, *, created: bool) -> None:
        self.record = self.record.model_copy(update={"created": created})
        await self.note(records)

    async def _create(self, plane: Plane) -> Created:
        """Create it, unless it exists. Never cancelled midway, as it may still succeed."""
        wanted = await plane.with_shape(self.life.account, self._wanted())
        with self._unbroken():
            return await plane.create(self.target, wanted)

    def _check_model(self, state: DeploymentState) -> None:
        if state.base_model != self.life.full_model:
            name, wanted = self.life.deployment_id, self.life.full_model
            raise _OtherModelError(f"{name} is a deployment of {state.base_model}, not of {wanted}")

    async def _rescale(self, plane: Plane, state: DeploymentState) -> None:
        bounds = self.life.min_replicas, self.life.max_replicas
        if (state.min_replica_count, state.max_replica_count) == bounds:
            return
        try:
            with self._unbroken():
                await plane.rescale(self.target, *bounds)
        except BlockedError as error:
            if state.is_changing:
                raise AbortedError(str(error)) from None
            raise

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        try:
            with anyio.fail_after(_CHANGE_S, shield=True):
                yield
        except TimeoutError:
            name = self.life.deployment_id
            raise UnansweredError(f"bring up {name}: no answer within {_CHANGE_S:g} s") from None

    def _wanted(self) -> Wanted:
        least = self.life.min_replicas
        return Wanted(
            base_model=self.life.full_model,
            shape=self.life.full_shape,
            min_replicas=least,
            max_replicas=self.life.max_replicas,
            scale_to_zero_window_s=None if least else self.life.scale_to_zero_window_s,
            region=self.life.region,
            preemptible=self.life.preemptible,
        )
