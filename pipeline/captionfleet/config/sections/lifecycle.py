"""Defines [deployments.lifecycle]: a deployment that a job creates and turns off (main process)."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator

from captionfleet.config.address import is_bare
from captionfleet.config.keys import DEFAULT_API_BASE, service_base
from captionfleet.config.sections.section import Section
from captionfleet.profiles.deployable import deployable, deployable_names, is_known, short_name

__all__ = [
    "INFERENCE_PATH",
    "ControlRef",
    "LifecycleConfig",
    "control_ref",
    "default_deployment_id",
    "filled_in",
]

INFERENCE_PATH = "/inference/v1"

_NAMED = re.compile(r"accounts/([^/#\s]+)/deployments/([^/#\s]+)$")
_NOWHERE = {"base_url": "http://unknown/v1", "model": "unknown"}


class LifecycleConfig(Section):
    """How a deployment is brought up before the first request, and turned off at the end."""

    account: str = Field(default="", description="default: FIREWORKS_ACCOUNT_ID")
    deployment_id: str = Field(default="", description="default: captionfleet- and the model")
    base_model: str = Field(
        default="qwen3-omni", description="model of a new deployment: a short or a full name"
    )
    shape: str | None = Field(default=None, description="default: the predefined one")
    min_replicas: int = Field(default=0, ge=0, le=1000)
    max_replicas: int = Field(default=1, ge=1, le=1000)
    scale_to_zero_window_s: int | None = Field(
        default=300, ge=300, description="idle time after which it sleeps, with min_replicas = 0"
    )
    region: str = Field(default="GLOBAL", min_length=1)
    preemptible: bool = Field(default=False, description="costs less, can be taken away")
    at_end: Literal["scale-to-zero", "delete", "keep"] = Field(
        default="scale-to-zero", description="delete: only what this job made"
    )
    ignore_checks: bool = Field(
        default=False, description="delete although it served within the last hour"
    )
    api_base: str = Field(default="", description=f"default: {DEFAULT_API_BASE}")
    ready_timeout_s: float = Field(default=3600, gt=0, description="longest wait until it serves")
    end_timeout_s: float = Field(default=120, gt=0, description="longest time to turn it off")
    poll_s: float = Field(
        default=15, ge=0.01, le=60, description="longest time between two polls of its replicas"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if deployable(self.base_model) is None:
            names = ", ".join(deployable_names())
            raise ValueError(f"base_model is one of {names}, or a full name: accounts/…/models/…")
        if self.min_replicas and self.scale_to_zero_window_s and self._sets_window:
            raise ValueError(
                f"min_replicas = {self.min_replicas} keeps it always up, and "
                "scale_to_zero_window_s lets it sleep: set one of the two"
            )
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas exceeds max_replicas")
        if self.api_base and not is_bare(self.api_base):
            raise ValueError(f"api_base must look like {DEFAULT_API_BASE}")
        return self

    @property
    def _sets_window(self) -> bool:
        return "scale_to_zero_window_s" in self.model_fields_set

    @property
    def full_model(self) -> str:
        """The model's full resource name."""
        found = deployable(self.base_model)
        assert found is not None  # noqa: S101 - checked
        return found.base_model

    @property
    def full_shape(self) -> str | None:
        """The full name of the deployment shape; None where it has to be looked up."""
        found = deployable(self.base_model)
        return self.shape or (found.shape if found else None)


@dataclass(frozen=True, slots=True)
class ControlRef:
    """A deployment as its control plane identifies it."""

    api_base: str
    account: str
    deployment_id: str


def default_deployment_id(model: str) -> str:
    """The deployment's name if the job gives none."""
    return f"captionfleet-{short_name(model)}"[:63].rstrip("-")


def filled_in(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A [[deployments]] table completed from its lifecycle: base URL and model string.

    The model string names both model and deployment, so that captions name their model, and still
    count when the deployment is created again.

    Raises:
        ValueError: no account is known.
    """
    table = data.get("lifecycle")
    if not isinstance(table, Mapping):
        return data
    try:
        life = LifecycleConfig.model_validate(table)
    except ValidationError:
        return {**_NOWHERE, **data}  # reported where the table itself is validated
    account = life.account or os.environ.get("FIREWORKS_ACCOUNT_ID", "")
    if not account:
        raise ValueError("lifecycle: give an account, or export FIREWORKS_ACCOUNT_ID")
    base = life.api_base or service_base()
    named = {
        "account": account,
        "deployment_id": life.deployment_id or default_deployment_id(life.base_model),
        "api_base": base.rstrip("/"),
    }
    model = f"{life.full_model}#accounts/{account}/deployments/{named['deployment_id']}"
    profile = short_name(life.base_model) if is_known(life.full_model) else "auto"
    known = {"base_url": named["api_base"] + INFERENCE_PATH, "model": model, "profile": profile}
    return {"provider": "fireworks", **known, **data, "lifecycle": {**table, **named}}


def control_ref(
    lifecycle: LifecycleConfig | None, base_url: str, model: str, *, speaks_fireworks: bool
) -> ControlRef | None:
    """The deployment at the control plane that counts its replicas; None if there is none."""
    if lifecycle is not None:
        return ControlRef(lifecycle.api_base, lifecycle.account, lifecycle.deployment_id)
    found = _NAMED.search(model)
    url = urlsplit(base_url)
    if found is None or not speaks_fireworks or url.path.rstrip("/") != INFERENCE_PATH:
        return None
    return ControlRef(f"{url.scheme}://{url.netloc}", found[1], found[2])
