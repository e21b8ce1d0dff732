"""Formats deployments for people: state, cost, next command; pure (main process)."""

import shlex
from collections.abc import Sequence

from captionfleet.deployment.protocol.calls import Wanted
from captionfleet.deployment.protocol.states import DeploymentState
from captionfleet.profiles import PRICES_OF

__all__ = [
    "cost_text",
    "differences",
    "list_text",
    "run_line",
    "scale_text",
    "sleep_line",
    "status_text",
    "stop_text",
]


def cost_text(state: DeploymentState, replicas: int) -> str:
    """The hourly cost of this many replicas, as in "$12.00/h"."""
    if not replicas:
        return "$0/h"
    price = state.replica_price
    if price is None:
        gpu = state.accelerator_type or "an unknown GPU"
        return f"{replicas} x {max(state.accelerator_count, 1)} x {gpu}, price not known"
    return f"${price * replicas:.2f}/h"


def status_text(state: DeploymentState) -> str:
    """Everything about one deployment, over several lines."""
    gpu = f"{max(state.accelerator_count, 1)} x {state.accelerator_type or 'GPU unknown'}"
    place = state.region or state.placement.multi_region or state.placement.region
    rows = [
        ("state", state.label + (f": {state.status.message}" if state.status.message else "")),
        ("model", state.model),
        ("replicas", f"{state.min_replica_count} to {state.max_replica_count} allowed"),
        ("now", str(state.replica_stats)),
        ("a replica", gpu + (", preemptible" if state.preemptible else "")),
        ("costs", _now_text(state)),
        ("region", place),
        ("shape", state.deployment_shape),
        ("sleeps", _sleeps(state)),
    ]
    shown = (f"  {name + ':':<14}{value}" for name, value in rows if value)
    return "\n".join([state.name, *shown])


def _now_text(state: DeploymentState) -> str:
    now = cost_text(state, state.ready)
    most = cost_text(state, state.max_replica_count)
    return f"{now} now, {most} with all replicas (prices of {PRICES_OF})"


def _sleeps(state: DeploymentState) -> str:
    if state.is_off:
        return ""
    return f"after {state.sleeps_after} without requests" if state.sleeps_after else "never"


def sleep_line(state: DeploymentState) -> str:
    """When the deployment stops costing money by itself, or that it never does."""
    name = state.deployment_id
    if state.is_off:
        return f"{name} is off and costs nothing"
    if state.sleeps_after:
        return f"{name} sleeps {_sleeps(state)}, and costs nothing then"
    return (
        f"{name} never sleeps: {cost_text(state, state.min_replica_count)} until "
        f"captionfleet deployment scale {name} 0"
    )


def list_text(states: Sequence[DeploymentState], account: str) -> str:
    """The deployments of an account as a table."""
    if not states:
        return f"{account} has no deployments: captionfleet deployment create"
    rows = [("ID", "MODEL", "STATE", "READY", "ALLOWED", "NOW", "SLEEPS")]
    rows += [
        (
            state.deployment_id,
            state.model,
            state.label,
            str(state.ready),
            f"{state.min_replica_count}-{state.max_replica_count}",
            cost_text(state, state.ready),
            "off" if state.is_off else state.sleeps_after or "never",
        )
        for state in states
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines)


def differences(wanted: Wanted, state: DeploymentState) -> list[str]:
    """How an existing deployment differs from the wanted one."""
    window = state.autoscaling_policy.scale_to_zero_window if state.autoscaling_policy else ""
    asked = wanted.scale_to_zero_window_s
    pairs = [
        ("model", state.base_model, wanted.base_model),
        ("min replicas", state.min_replica_count, wanted.min_replicas),
        ("max replicas", state.max_replica_count, wanted.max_replicas),
        ("preemptible", state.preemptible, wanted.preemptible),
    ]
    # The server may name a version of the shape, and fills in unset fields.
    if wanted.shape and not state.deployment_shape.startswith(wanted.shape):
        pairs.append(("shape", state.deployment_shape, wanted.shape))
    if asked is not None and window != f"{asked}s":
        pairs.append(("scale-to-zero window", window, f"{asked}s"))
    return [f"{name} {there or 'none'}, not {here}" for name, there, here in pairs if there != here]


def scale_text(state: DeploymentState, min_replicas: int, max_replicas: int) -> str:
    """The effect of scaling, with the cost before and after."""
    bounds = f"{min_replicas} to {max_replicas}" if min_replicas != max_replicas else min_replicas
    stopped = max(state.desired_replica_count - max_replicas, 0)
    parts = [f"{state.deployment_id}: {_serving(state)}; from now on {bounds}"]
    if stopped:
        parts.append(f"this stops {stopped}, and the requests in flight there")
    low, high = cost_text(state, min_replicas), cost_text(state, max_replicas)
    parts.append(f"then {low}" if low == high else f"then {low} to {high}")
    return "; ".join(parts)


def stop_text(state: DeploymentState) -> str:
    """The effect of deleting a deployment."""
    return f"{state.deployment_id}: {_serving(state)}; deleting stops all of it"


def _serving(state: DeploymentState) -> str:
    are = "replica serves" if state.ready == 1 else "replicas serve"
    return f"{state.ready} {are} ({cost_text(state, state.ready)})"


def run_line(base_url: str, model: str) -> str:
    """The command that captions with a deployment."""
    words = ["captionfleet", "run", "videos", "--out", "captions"]
    words += ["--base-url", base_url, "--model", model]
    return shlex.join(words)
