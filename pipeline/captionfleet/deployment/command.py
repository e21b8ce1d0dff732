"""The `captionfleet deployment` commands: read arguments, call the control plane (main process)."""

import sys
from dataclasses import replace
from typing import Annotated

from cyclopts import App, Parameter

from captionfleet.config.sections.lifecycle import default_deployment_id
from captionfleet.deployment import show
from captionfleet.deployment.arguments import Account, bounds, wanted_deployment
from captionfleet.deployment.console import is_agreed, print_calls, print_json, with_plane
from captionfleet.deployment.lifecycle.waiting import Patience, show_replicas, until_serving
from captionfleet.deployment.plane.plane import Created, Plane
from captionfleet.deployment.protocol import calls
from captionfleet.deployment.protocol.calls import Call, Target, Wanted
from captionfleet.deployment.protocol.refusals import BlockedError, UnansweredError
from captionfleet.errors import ConfigError
from captionfleet.examples import examples

__all__ = ["deployment"]

_Switch = Annotated[bool, Parameter(negative="")]
_DEFAULT_MODEL = "qwen3-omni-30b-a3b-instruct"

deployment = App(
    help_epilogue=examples("deployment"),
    name="deployment",
    help="Create, watch, scale and delete dedicated deployments through the control plane.",
)


_ANY = Account()


@deployment.command(help_epilogue=examples("deployment create"))
def create(
    model: str = _DEFAULT_MODEL,
    *,
    deployment_id: str | None = None,
    min_replicas: int | None = None,
    max_replicas: int | None = None,
    scale_to_zero_window: str | None = None,
    region: str = "GLOBAL",
    preemptible: _Switch = False,
    shape: str | None = None,
    dry_run: _Switch = False,
    account: Account = _ANY,
) -> int:
    """Create a deployment; if one of this name exists, report it and change nothing.

    Args:
        model: qwen3-omni, molmo2-4b, molmo2-8b, or a model's full name.
        deployment_id: Its name; by default captionfleet- and the model's.
        min_replicas: Replicas that are always up and paid for; 0 lets it sleep when idle. By
            default 1, or 0 with --scale-to-zero-window.
        max_replicas: Most replicas; by default the minimum, and at least 1.
        scale_to_zero_window: Idle time after which it sleeps, 5m or more, as in 300s, 5m, 1h.
            Implies --min-replicas 0. By default it never sleeps.
        region: GLOBAL, US, EUROPE, APAC, or a single region; it cannot be changed later.
        preemptible: Use replicas that cost less and can be taken away at any time.
        shape: The deployment shape; by default the predefined one, or the smallest one.
        dry_run: Print the calls instead of making them.
        account: Whose deployments.
    """
    access = account.access()
    target = Target(access.account, deployment_id or default_deployment_id(model))
    wanted = wanted_deployment(
        model,
        shape=shape,
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        window=scale_to_zero_window,
        region=region,
        preemptible=preemptible,
    )
    if dry_run:
        return print_calls(*_creation(target, wanted))

    async def main(plane: Plane) -> int:
        there = await plane.find(target)
        full = wanted if there else await plane.with_shape(access.account, wanted)
        try:
            made = await plane.create(target, full)
        except UnansweredError as error:
            look = f"captionfleet deployment status {target.deployment_id}"
            raise UnansweredError(f"{error}; it may have been created: {look}") from None
        _report_creation(target, wanted, made)
        return 0

    return with_plane(access, main)


def _report_creation(target: Target, wanted: Wanted, made: Created) -> None:
    state = made.deployment
    print(f"{target.deployment_id} {'exists already' if made.existed else 'is created'}")
    print(show.status_text(state))
    if made.existed and (differing := show.differences(wanted, state)):
        print(f"it differs from the request: {'; '.join(differing)}")
    print(show.sleep_line(state))
    print(f"next: captionfleet deployment wait {target.deployment_id}")


@deployment.command(name="list", help_epilogue=examples("deployment list"))
def list_(*, json: _Switch = False, account: Account = _ANY) -> int:
    """List the account's deployments, with their replicas and their present cost.

    Args:
        json: Print JSON.
        account: Whose deployments.
    """
    access = account.access()

    async def main(plane: Plane) -> int:
        states = await plane.list_all(access.account)
        if json:
            print_json([state.model_dump(by_alias=True) for state in states])
        else:
            print(show.list_text(states, access.account))
        return 0

    return with_plane(access, main)


@deployment.command(help_epilogue=examples("deployment status"))
def status(deployment_id: str, *, json: _Switch = False, account: Account = _ANY) -> int:
    """Show one deployment: its state, starting replicas and cost.

    Args:
        deployment_id: Which one.
        json: Print JSON.
        account: Whose deployments.
    """
    access = account.access()
    target = Target(access.account, deployment_id)

    async def main(plane: Plane) -> int:
        state = await plane.get(target)
        if json:
            print_json(state.model_dump(by_alias=True))
        else:
            print(show.status_text(state))
        return 0

    return with_plane(access, main)


@deployment.command(help_epilogue=examples("deployment wait"))
def wait(
    deployment_id: str,
    *,
    timeout_s: Annotated[float, Parameter(name=["--timeout-s", "--timeout"])] = 3600.0,
    poll_s: Annotated[float, Parameter(name=["--poll-s", "--poll"])] = 10.0,
    quiet: _Switch = False,
    account: Account = _ANY,
) -> int:
    """Wait until a deployment serves, and prove it by a tiny request.

    Args:
        deployment_id: Which one; a deployment that sleeps is woken.
        timeout_s: Longest wait, in seconds.
        poll_s: Seconds between two looks.
        quiet: Show no progress.
        account: Whose deployments.
    """
    access = account.access()
    target = Target(access.account, deployment_id)
    if not (timeout_s > 0 and poll_s > 0):
        raise ConfigError("--timeout-s and --poll-s: give seconds above 0")

    async def main(plane: Plane) -> int:
        patience = Patience(timeout_s, max(poll_s, 0.01))
        async with show_replicas(None if quiet else sys.stderr) as shown:
            served = await until_serving(plane, target, patience, shown=shown)
        print(f"{deployment_id} serves: a request was answered")
        print(show.status_text(served.deployment))
        print(show.sleep_line(served.deployment))
        print(f"next: {show.run_line(plane.client.base_url, served.model)}")
        return 0

    return with_plane(access, main)


@deployment.command(help_epilogue=examples("deployment scale"))
def scale(
    deployment_id: str,
    replicas: int | None = None,
    *,
    min_replicas: int | None = None,
    max_replicas: int | None = None,
    yes: _Switch = False,
    dry_run: _Switch = False,
    account: Account = _ANY,
) -> int:
    """Set how many replicas a deployment has; 0 turns it off, and its cost.

    Args:
        deployment_id: Which one.
        replicas: The exact number of replicas. Without it, the range of the next two.
        min_replicas: Least replicas of a range; by default 0.
        max_replicas: Most replicas of a range; by default as many as --min-replicas.
        yes: Do not ask.
        dry_run: Print the call instead of making it.
        account: Whose deployments.
    """
    access = account.access()
    target = Target(access.account, deployment_id)
    low, high = bounds(replicas, min_replicas, max_replicas)
    if dry_run:
        return print_calls(calls.rescale(target, low, high))

    async def main(plane: Plane) -> int:
        state = await plane.get(target)
        words = show.scale_text(state, low, high)
        print(words)
        stops = state.desired_replica_count > high
        if stops and not await is_agreed("scale down?", yes=yes):
            return 1
        after = await plane.rescale(target, low, high)
        print(show.status_text(after))
        print(show.sleep_line(after))
        return 0

    return with_plane(access, main)


@deployment.command(help_epilogue=examples("deployment delete"))
def delete(
    deployment_id: str,
    *,
    ignore_checks: _Switch = False,
    hard: _Switch = False,
    yes: _Switch = False,
    dry_run: _Switch = False,
    account: Account = _ANY,
) -> int:
    """Delete a deployment.

    Args:
        deployment_id: Which one.
        ignore_checks: Delete it even if it served within the last hour.
        hard: Delete it for good; otherwise it can be restored for a while.
        yes: Do not ask.
        dry_run: Print the call instead of making it.
        account: Whose deployments.
    """
    access = account.access()
    target = Target(access.account, deployment_id)
    if dry_run:
        return print_calls(calls.delete(target, ignore_checks=ignore_checks, hard=hard))

    async def main(plane: Plane) -> int:
        state = await plane.find(target, surely=True)
        if state is None:
            print(f"there is no deployment {deployment_id}")
            return 0
        print(show.stop_text(state))
        if not await is_agreed("delete it?", yes=yes):
            return 1
        try:
            await plane.delete(target, ignore_checks=ignore_checks, hard=hard)
        except BlockedError as error:
            raise BlockedError(f"{error}; --ignore-checks deletes it anyway") from None
        print(f"{deployment_id} is deleted")
        return 0

    return with_plane(access, main)


deployment.command(
    "captionfleet.deployment.reap_command:reap_command",
    name="reap",
    help_epilogue=examples("deployment reap"),
    help="""Turn off deployments that killed runs left on.

    Every run with a life cycle records what it brings up, and removes the record once that is off.
    Exit code 4: something may still be on.
    """,
)


def _creation(target: Target, wanted: Wanted) -> list[Call]:
    if wanted.shape is not None:
        return [calls.create(target, wanted)]
    look_up = calls.match_shape(target.account, wanted.base_model)
    return [look_up, calls.create(target, replace(wanted, shape="SHAPE"))]
