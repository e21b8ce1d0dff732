"""Finds the account's deployment, if neither job file nor flags name one (main process)."""

import os
from collections.abc import Mapping
from typing import Any

from captionfleet.config import JobConfig, load_job
from captionfleet.config.keys import service_base
from captionfleet.deployment.lifecycle.waiting import forms_of
from captionfleet.deployment.plane.access import Access, account_name
from captionfleet.deployment.plane.client import open_client
from captionfleet.deployment.plane.plane import Plane
from captionfleet.deployment.protocol.calls import Target
from captionfleet.deployment.protocol.states import DeploymentState
from captionfleet.deployment.show import list_text, run_line
from captionfleet.errors import ConfigError, DeploymentError
from captionfleet.profiles.deployable import deployable_names, is_known, short_name
from captionfleet.telemetry import get_log

__all__ = ["chosen", "with_deployments"]

_FINE = 200


async def with_deployments(job: JobConfig, each: Mapping[str, Any]) -> JobConfig:
    """The job with the account's one deployment that takes video, if it names none itself.

    Args:
        job: The job.
        each: Flags that apply to every deployment.

    Raises:
        ConfigError: no account is known, or several deployments fit; a note lists them.
        DeploymentError: none serves, or would start on a request.
    """
    if job.deployments:
        return job
    if not os.environ.get("FIREWORKS_ACCOUNT_ID"):
        raise ConfigError(
            "deployments: name at least one (--base-url URL --model NAME), "
            "or export FIREWORKS_ACCOUNT_ID to find the account's own"
        )
    given = {key: value for key, value in each.items() if value is not None}
    access = Access(account_name(None), given.get("api_key_env"), service_base())
    found = await _found(access)
    get_log().info("deployment_found", **found)
    dumped = job.model_dump(exclude_unset=True)
    return load_job(None, {**dumped, "deployments": [{**found, **given}]})


async def _found(access: Access) -> dict[str, Any]:
    account = access.account
    async with open_client(access.api_base, access.key()) as client:
        plane = Plane(client)
        states = await plane.list_all(account)
        state = chosen(states, account, client.base_url)
        model = await _answering(plane, state, Target(account, state.deployment_id))
    return {
        "name": state.deployment_id,
        "base_url": client.base_url,
        "model": model,
        "profile": short_name(state.base_model),
        "provider": "fireworks",
    }


def chosen(states: list[DeploymentState], account: str, base_url: str) -> DeploymentState:
    """The one deployment that takes video: one that serves, else one that starts on a request.

    Raises:
        ConfigError: several fit.
        DeploymentError: none fits.
    """
    fitting = [one for one in states if is_known(one.base_model) and one.state != "FAILED"]
    able = [one for one in fitting if not one.is_off]
    candidates = [one for one in able if one.ready] or able
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        several = ConfigError(
            f"{account} has {len(candidates)} deployments to caption with: choose by "
            "--base-url and --model"
        )
        several.add_note(list_text(candidates, account))
        for one in candidates:
            several.add_note(
                run_line(base_url, forms_of(one, Target(account, one.deployment_id))[0])
            )
        raise several
    names = ", ".join(deployable_names())
    none = DeploymentError(
        f"{account} has no deployment of {names} that is on: captionfleet deployment "
        + (f"scale {fitting[0].deployment_id} 1" if fitting else "create")
    )
    none.add_note(list_text(states, account))
    raise none


async def _answering(plane: Plane, state: DeploymentState, target: Target) -> str:
    """The model string that it answers to; the most likely one while it sleeps."""
    forms = forms_of(state, target)
    for model in forms if state.ready else ():
        if (await plane.client.prove(model)).status == _FINE:
            return model
    return forms[0]
