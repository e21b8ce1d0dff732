"""Brings up, follows and turns off all deployments of a run (main process)."""

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from captionfleet.config import ControlRef, DeploymentConfig, JobConfig
from captionfleet.deployment.lifecycle.following import Replicas, follow, say_that_it_stays_on
from captionfleet.deployment.lifecycle.gate import let_through
from captionfleet.deployment.lifecycle.managed import Managed, Phase
from captionfleet.deployment.lifecycle.owner import Owner
from captionfleet.deployment.lifecycle.reaping import IF_IT_IS_OVER, Reaped, reap, users_of
from captionfleet.deployment.lifecycle.records import Records
from captionfleet.deployment.lifecycle.waiting import until_serving
from captionfleet.deployment.plane.client import WAITS, Waits, open_client
from captionfleet.deployment.plane.plane import Plane
from captionfleet.deployment.protocol.calls import Target
from captionfleet.deployment.protocol.states import DeploymentState
from captionfleet.errors import DeploymentError, RunError
from captionfleet.sender import Fleet
from captionfleet.telemetry import Tally, get_log
from captionfleet.watch.signals import OnSignal, Signals

__all__ = ["Lifecycle", "open_lifecycle"]

_OnCount = Callable[[str, int], None]
"""Called with a deployment's name and the present number of its replicas."""

_T = TypeVar("_T")
_REAP_S = 120.0
_LAST_WORDS_S = 1.0
_STAYS_ON = "a deployment stays on"


@dataclass(slots=True, repr=False)
class Lifecycle:
    """Creates, follows and turns off the deployments of one run.

    Attributes:
        wanted: set when the first clip is ready: before that, nothing is brought up.
        opened: set when a deployment takes requests.
        replicas: each deployment's number of replicas over time.
        problem: the error of a deployment that could not be turned off.
    """

    job: JobConfig
    tally: Tally
    signals: Signals
    owner: Owner
    waits: Waits = WAITS
    wanted: anyio.Event = field(default_factory=anyio.Event)
    opened: anyio.Event = field(default_factory=anyio.Event)
    replicas: dict[str, Replicas] = field(default_factory=dict)
    problem: RunError | None = None
    _records: Records = field(init=False)
    _known: dict[str, ControlRef] = field(init=False)
    _managed: list[Managed] = field(init=False)

    def __post_init__(self) -> None:
        self._records = Records(self.job.output.dir, is_locked=True)
        refs = {one.name: one.counted_at for one in self.job.deployments}
        self._known = {name: ref for name, ref in refs.items() if ref is not None}
        self._managed = [
            Managed(one, one.lifecycle, self.owner, self.waits)
            for one in self.job.deployments
            if one.lifecycle is not None
        ]
        if len(self._managed) < len(self.job.deployments):
            self.opened.set()

    def __repr__(self) -> str:
        return f"<Lifecycle {self._managed}>"

    @property
    def holds_back(self) -> bool:
        """Whether the first clip has to be announced, by `hold_back`."""
        return bool(self._managed)

    async def clear(self) -> None:
        """Turn off what earlier runs left on, and take over the deployments that this run uses."""
        own, pairs = {one.record.ref for one in self._managed}, self.job.key_pairs
        with anyio.move_on_after(_REAP_S):
            await reap(self._records, pairs, but=own, on_result=_say_reaped, waits=self.waits)
        await self._take_over()

    async def attend(self, fleet: Fleet) -> None:
        """Bring up deployments, and count replicas until cancelled.

        A deployment gets no requests until it is up: its gateway might refuse them permanently.

        Raises:
            DeploymentError: nothing could be brought up, and nothing else takes requests.
        """
        for managed in self._managed:
            fleet.hold(managed.deployment.name)
        async with anyio.create_task_group() as tasks:
            for one in self.job.deployments:
                if one.lifecycle is None and (ref := one.counted_at) is not None:
                    tasks.start_soon(self._follow, one, ref, fleet.follow)
            await self.wanted.wait()
            await self._bring_all_up(fleet)

    async def hold_back(
        self,
        clips_in: MemoryObjectReceiveStream[_T],
        clips_out: MemoryObjectSendStream[_T],
        halted: anyio.Event,
    ) -> None:
        """Pass clips on once a deployment is up, or once none will be; closes both streams."""
        await let_through(clips_in, clips_out, self.wanted, self.opened, halted)

    async def end(self) -> None:
        """Turn off what was brought up, however the run ended; `problem` says what failed."""
        brought_up = [one for one in self._managed if one.is_recorded]
        self._say_what_stays_on()
        if not brought_up:
            return
        longest_s = max(one.life.end_timeout_s for one in brought_up)
        with anyio.CancelScope(shield=True) as scope, self._warning_of(scope):
            async with self._records.exclusively(), anyio.create_task_group() as ends:
                # From here on: another run may have held the lock.
                scope.deadline = anyio.current_time() + longest_s + _LAST_WORDS_S
                for one in brought_up:
                    ends.start_soon(self._end, one)
        left = [one for one in brought_up if one.is_recorded and not one.done]
        if left and self.problem is None:
            self.problem = _left_on(left, "there was no time")

    @contextmanager
    def _warning_of(self, scope: anyio.CancelScope) -> Iterator[None]:
        """Let the first signal warn, and the second end the scope; later ones do as before."""
        former = self.signals.on_signal
        self.signals.on_signal = _twice(scope)
        try:
            yield
        finally:
            self.signals.on_signal = former

    def _say_what_stays_on(self) -> None:
        own = {one.deployment.name: one for one in self._managed}
        for name, replicas in self.replicas.items():
            if name not in own or not own[name].is_recorded:
                say_that_it_stays_on(replicas, is_own=name in own)

    def report(self) -> list[dict[str, Any]]:
        """What became of each deployment that was brought up or counted, for run.json."""
        managed = {one.deployment.name: one for one in self._managed}
        return [
            {
                "deployment": name,
                "deployment_id": ref.deployment_id,
                "created": name in managed and managed[name].record.created,
                "ended": managed[name].done if name in managed else "",
                "replicas": [list(change) for change in self._history(name)],
            }
            for name, ref in self._known.items()
        ]

    def _history(self, name: str) -> list[tuple[float, int]]:
        return self.replicas[name].history if name in self.replicas else []

    async def _take_over(self) -> None:
        """Make this run responsible for its deployments that a dead run had brought up."""
        for kept in await anyio.to_thread.run_sync(self._records.all):
            for one in self._managed:
                if kept.fate == "dead" and kept.record.ref == one.record.ref:
                    made = one.record.created or kept.record.created
                    one.record = one.record.model_copy(update={"created": made})
                    await one.note(self._records)
                    await anyio.to_thread.run_sync(self._records.remove, kept.record)

    async def _bring_all_up(self, fleet: Fleet) -> None:
        async with anyio.create_task_group() as tasks:
            for one in self._managed:
                tasks.start_soon(self._mind, one, fleet)

    async def _mind(self, one: Managed, fleet: Fleet) -> None:
        """Bring one deployment up, and count its replicas until cancelled."""
        async with open_client(one.life.api_base, one.key(), self.waits) as client:
            plane = Plane(client)
            try:
                await self._bring_up(plane, one, fleet.follow)
            except RunError as error:
                self._give_up(one, fleet, error)
                return
            one.phase = Phase.SERVING
            fleet.release(one.deployment.name)
            self.opened.set()
            self.tally.waiting_for = ""
            await self._count(plane, one.deployment, one.target, fleet.follow)

    def _give_up(self, one: Managed, fleet: Fleet, error: RunError) -> None:
        """Continue without a deployment, unless it was the last one that could have served."""
        one.phase = Phase.FAILED
        fleet.give_up(one.deployment.name, str(error))
        get_log().warning("a deployment is not up", reason=str(error))
        has_others = len(self._managed) < len(self.job.deployments)
        if not has_others and all(other.phase is Phase.FAILED for other in self._managed):
            raise error

    async def _bring_up(self, plane: Plane, one: Managed, on_count: _OnCount) -> None:
        name = one.life.deployment_id
        self._tell(f"{name} to come up")
        await one.bring_up(plane, self._records, self._tell)

        def shown(state: DeploymentState) -> None:
            self._tell(f"{name}: {state.replica_stats}")
            on_count(one.deployment.name, state.ready)

        models = (one.deployment.model,)
        served = await until_serving(plane, one.target, one.patience, models=models, shown=shown)
        on_count(one.deployment.name, served.deployment.ready)

    def _tell(self, waiting_for: str) -> None:
        if not self.opened.is_set():
            self.tally.waiting_for = waiting_for

    async def _follow(
        self, deployment: DeploymentConfig, ref: ControlRef, on_count: _OnCount
    ) -> None:
        """Count the replicas of a deployment that others manage, if the key allows it."""
        key = deployment.api_key()
        if key is None:
            return
        async with open_client(ref.api_base, key, self.waits) as client:
            target = Target(ref.account, ref.deployment_id)
            await self._count(Plane(client), deployment, target, on_count)

    async def _count(
        self, plane: Plane, deployment: DeploymentConfig, target: Target, on_count: _OnCount
    ) -> None:
        history = self.replicas.setdefault(deployment.name, Replicas(self.tally.started_s))
        poll_s = deployment.lifecycle.poll_s if deployment.lifecycle else None
        await follow(plane, target, history, lambda n: on_count(deployment.name, n), poll_s)

    async def _end(self, one: Managed) -> None:
        kept = await anyio.to_thread.run_sync(self._records.all)
        if users := users_of(one.record, kept):
            one.done, name = f"left on for {users[0].record.run}", one.life.deployment_id
            if users[0].fate == "elsewhere":
                get_log().warning(_STAYS_ON, deployment=name, why=one.done, note=IF_IT_IS_OVER)
                await one.leave(self._records)
                return
            get_log().info(_STAYS_ON, deployment=name, why=one.done)
        else:
            try:
                await one.turn_off()
            except RunError as error:
                self.problem = _left_on([one], str(error))
                return
            get_log().info("deployment_ended", outcome=one.done)
        await one.forget(self._records)


def _say_reaped(reaped: Reaped) -> None:
    log = get_log().warning if reaped.is_left else get_log().info
    log("an earlier run left a deployment on", outcome=reaped.words)


def _twice(scope: anyio.CancelScope) -> OnSignal:
    """The handler while deployments are turned off: warn at first, stop at the second signal."""
    was_warned = False

    def on_signal(_: signal.Signals) -> None:
        nonlocal was_warned
        if was_warned:
            scope.cancel()
            return
        was_warned = True
        get_log().warning("turning deployments off; a second signal leaves them on")

    return on_signal


def _left_on(left: list[Managed], why: str) -> DeploymentError:
    names = ", ".join(one.life.deployment_id for one in left)
    return DeploymentError(
        f"{names} may still be on, and cost money ({why}): captionfleet deployment reap"
    )


@asynccontextmanager
async def open_lifecycle(
    job: JobConfig, tally: Tally, signals: Signals, waits: Waits = WAITS
) -> AsyncIterator[Lifecycle]:
    """Manage a run's deployments during the block; turn off at its end what was brought up."""
    owner = await anyio.to_thread.run_sync(Owner.this)
    life = Lifecycle(job, tally, signals, owner, waits)
    try:
        yield life
    finally:
        await life.end()
