"""Waits until a deployment serves, and verifies it by a request (main process)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TextIO

import anyio

from captionfleet import text
from captionfleet.deployment.plane.plane import Plane
from captionfleet.deployment.protocol.calls import Target
from captionfleet.deployment.protocol.refusals import (
    ControlError,
    DeniedError,
    MissingError,
    UnansweredError,
    UnroutedError,
)
from captionfleet.deployment.protocol.states import DeploymentState
from captionfleet.sender.chat.request import model_forms
from captionfleet.telemetry import Picture, has_width, monotonic_s, show_pictures, utc_now

__all__ = [
    "SURE_LOOKS",
    "Patience",
    "Served",
    "Shown",
    "forms_of",
    "show_replicas",
    "until_serving",
]

SURE_LOOKS = 3
"""Refusals in a row that count: a gateway may refuse what it accepts some seconds later, such as a
new key, or a deployment that another replica of the control plane created."""

Shown = Callable[[DeploymentState], None]
"""Called with every state until it serves."""

_FIRST_WAIT_S, _GROWTH = 1.0, 1.3
_REFUSED_WAIT_S = 5.0  # three refusals then span ten seconds, longer than a gateway's restart
_REFUSED = frozenset({401, 402, 403, 412})
_WRONG = frozenset({400, 405, 413, 422})
_FINE = 200
_BUSY = 429


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, and how often to poll after the first polls.

    `appears_s` is how long a new deployment may stay unknown.
    """

    timeout_s: float = 3600.0
    poll_s: float = 10.0
    appears_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Served:
    """A deployment that answered, and the model string it answered to."""

    deployment: DeploymentState
    model: str


def forms_of(state: DeploymentState, target: Target) -> tuple[str, ...]:
    """The ways to name a deployment in a request; the vendor's documentation uses all three.

    The form that also names the model comes first: captions then name their model, and stay
    comparable when the deployment is created again.
    """
    plain, vendor, own = model_forms(f"{state.base_model}#{target.name}")
    full = (f"{state.base_model}#{target.name}",) if state.base_model else ()
    return tuple(dict.fromkeys((*full, vendor, plain, own)))


async def until_serving(
    plane: Plane,
    target: Target,
    patience: Patience,
    *,
    models: tuple[str, ...] = (),
    shown: Shown = lambda _: None,
) -> Served:
    """Wait until a replica is ready, then until a tiny request is answered.

    A deployment that is READY may not serve yet, and one that is scaled to zero comes up only on a
    request. A full deployment counts as serving: it serves other clients. Three refusals in a row
    end the wait.

    Args:
        plane: The control plane.
        target: Which deployment.
        patience: How long to wait.
        models: The model strings to try; by default all forms that name the deployment.
        shown: Called with every state.

    Raises:
        ControlError: it failed, is off, refuses the request, or did not come up in time.
    """
    waiting = _Waiting(plane, target, patience, shown)
    with anyio.move_on_after(patience.timeout_s):
        return await waiting.served(models)
    if waiting.refusal is not None:
        raise waiting.refusal
    seen = waiting.seen
    replicas = f" ({seen.label}; {seen.replica_stats})" if seen else ""
    raise ControlError(
        f"deployment {target.deployment_id} did not serve within {patience.timeout_s:g} s{replicas}"
    )


@dataclass(slots=True)
class _Waiting:
    plane: Plane
    target: Target
    patience: Patience
    shown: Shown
    seen: DeploymentState | None = None
    refusal: ControlError | None = None
    appears_by_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.appears_by_s = anyio.current_time() + self.patience.appears_s

    async def served(self, models: tuple[str, ...]) -> Served:
        wait_s, refusals = min(_FIRST_WAIT_S, self.patience.poll_s), 0
        while True:
            try:
                served = await self._attempt(models)
            except ControlError as error:
                self.refusal, refusals = error, refusals + 1
                if refusals == SURE_LOOKS:
                    raise
                wait_s = max(wait_s, min(_REFUSED_WAIT_S, self.patience.poll_s))
            else:
                if served is not None:
                    return served
                self.refusal, refusals = None, 0
            await anyio.sleep(wait_s)
            wait_s = min(_GROWTH * wait_s, self.patience.poll_s)

    async def _attempt(self, models: tuple[str, ...]) -> Served | None:
        state = await self._look()
        # A deployment that can sleep comes up on a request, and stays up while requests come.
        if state is None or not (state.ready or not state.min_replica_count):
            return None
        model = await self._first_to_answer(state, models or forms_of(state, self.target))
        if model is None:
            await self._check_name(state, models)
            return None
        return Served(await self._state_after(state), model)

    async def _state_after(self, state: DeploymentState) -> DeploymentState:
        """The state once it serves; the last known one if the control plane fails now."""
        try:
            return await self.plane.get(self.target)
        except ControlError:
            return state

    async def _look(self) -> DeploymentState | None:
        """The state; None if the control plane cannot be reached now, or does not know it yet."""
        try:
            state = await self.plane.get(self.target)
        except UnansweredError:
            return None
        except (MissingError, UnroutedError):
            if self.seen or anyio.current_time() >= self.appears_by_s:
                raise
            return None
        self.seen = state
        self.shown(state)
        self._check(state)
        return state

    def _check(self, state: DeploymentState) -> None:
        name = self.target.deployment_id
        if state.state == "FAILED" or state.is_gone:
            why = state.status.message or state.status.code or "no reason is given"
            raise ControlError(f"deployment {name} is {state.state}: {why}")
        if state.is_off and state.state == "READY":
            raise ControlError(
                f"deployment {name} is off (0 replicas allowed): "
                f"captionfleet deployment scale {name} 1"
            )

    async def _first_to_answer(self, state: DeploymentState, models: tuple[str, ...]) -> str | None:
        for model in models:
            if await self._answers(state, model):
                return model
        return None

    async def _check_name(self, state: DeploymentState, models: tuple[str, ...]) -> None:
        """Raise if the deployment answers to another model string than the given one."""
        others = tuple(form for form in forms_of(state, self.target) if form not in models)
        if models and state.ready and (other := await self._first_to_answer(state, others)):
            raise ControlError(
                f"deployment {self.target.deployment_id} answers to {other}, not to {models[0]}: "
                f'give model = "{other}"'
            )

    async def _answers(self, state: DeploymentState, model: str) -> bool:
        proof = await self.plane.client.prove(model)
        # A full deployment serves: another job may keep it full for hours.
        if proof.status == _FINE or (proof.status == _BUSY and state.ready):
            return True
        name, answer = self.target.deployment_id, f"{proof.status} {proof.detail}".strip()
        if proof.status in _REFUSED:
            raise DeniedError(f"deployment {name} refuses the key: {answer}")
        if proof.status in _WRONG:
            raise ControlError(f"deployment {name} refuses a request of one line: {answer}")
        return False


@asynccontextmanager
async def show_replicas(stream: TextIO | None) -> AsyncIterator[Shown]:
    """Show how replicas start: a bar on a terminal, otherwise a line at every change."""
    if stream is None:
        yield lambda _: None
    elif has_width(stream):
        bar = _Bar()
        async with show_pictures(bar.look, stream):
            yield bar.see
    else:
        yield _Lines(stream)


class _Bar:
    def __init__(self) -> None:
        self._state: DeploymentState | None = None
        self._begun_s = monotonic_s()

    def see(self, state: DeploymentState) -> None:
        self._state = state

    def look(self) -> Picture:
        state, waited = self._state, text.rough(monotonic_s() - self._begun_s)
        if state is None:
            return Picture(done=0, total=None, unit="replicas", waiting="an answer", waited=waited)
        total = max(state.desired_replica_count, state.min_replica_count, 1)
        return Picture(
            done=min(state.ready, total),
            total=total,
            unit="replicas",
            facts=state.replica_stats.on_their_way,
            waiting=f"{state.deployment_id}: {state.label.lower()}",
            waited=waited,
        )


@dataclass(slots=True)
class _Lines:
    stream: TextIO
    last: str = ""

    def __call__(self, state: DeploymentState) -> None:
        line = f"{state.deployment_id} {state.label}: {state.replica_stats}"
        if line != self.last:
            print(f"{utc_now()} {line}", file=self.stream, flush=True)
            self.last = line
