"""Builds calls to the control plane, and the equivalent firectl commands; pure (main process)."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson

from captionfleet.errors import ConfigError
from captionfleet.profiles.deployable import model_id

__all__ = [
    "Call",
    "Target",
    "Wanted",
    "check_name",
    "create",
    "delete",
    "get",
    "list_page",
    "match_shape",
    "rescale",
]

_MULTI_REGIONS = frozenset({"GLOBAL", "US", "EUROPE", "APAC"})
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_PAGE_SIZE = 200
# Without a mask, a PATCH replaces or clears every mutable field.
_REPLICAS_MASK = "min_replica_count,max_replica_count"


@dataclass(frozen=True, slots=True)
class Call:
    """One call to the control plane.

    Attributes:
        what: what it does, for messages.
        firectl: the equivalent command of the vendor's own tool.
        may_repeat: whether it may be repeated if its result is unknown.
        is_look: whether it only reads.
    """

    what: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    firectl: str = ""
    may_repeat: bool = True
    is_look: bool = False

    @property
    def path_and_query(self) -> str:
        """The path and the query of the request."""
        return f"{self.path}?{urlencode(self.query, safe=',')}" if self.query else self.path

    def shown(self) -> str:
        """The call for people: method and path, the body, and the firectl command."""
        lines = [f"{self.method} {self.path_and_query}"]
        if self.body is not None:
            lines.append(orjson.dumps(self.body, option=orjson.OPT_INDENT_2).decode())
        return "\n".join([*lines, f"# the same with firectl:\n{self.firectl}"])


@dataclass(frozen=True, slots=True)
class Target:
    """One deployment of one account.

    Raises:
        ConfigError: a name is invalid in a path.
    """

    account: str
    deployment_id: str

    def __post_init__(self) -> None:
        check_name(self.account, "account")
        check_name(self.deployment_id, "deployment id")

    @property
    def name(self) -> str:
        """The full name."""
        return f"accounts/{self.account}/deployments/{self.deployment_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The wanted properties of a deployment.

    Attributes:
        scale_to_zero_window_s: idle time after which a deployment with `min_replicas` 0 sleeps.
        region: GLOBAL, US, EUROPE, APAC, or a single region.
    """

    base_model: str
    shape: str | None = None
    min_replicas: int = 1
    max_replicas: int = 1
    scale_to_zero_window_s: int | None = None
    region: str = "GLOBAL"
    preemptible: bool = False

    def body(self) -> dict[str, Any]:
        """The request body."""
        region = self.region.upper().replace("-", "_")
        key = "multiRegion" if region in _MULTI_REGIONS else "region"
        body: dict[str, Any] = {
            "baseModel": self.base_model,
            "deploymentShape": self.shape,
            "minReplicaCount": self.min_replicas,
            "maxReplicaCount": self.max_replicas,
            "placement": {key: region},
        }
        if self.scale_to_zero_window_s is not None:
            body["autoscalingPolicy"] = {"scaleToZeroWindow": f"{self.scale_to_zero_window_s}s"}
        if self.preemptible:
            body["preemptible"] = True
        return {key: value for key, value in body.items() if value is not None}

    def flags(self) -> list[str]:
        """The same as firectl flags."""
        flags = ["--min-replica-count", str(self.min_replicas)]
        flags += ["--max-replica-count", str(self.max_replicas)]
        if self.shape is not None:
            flags += ["--deployment-shape", model_id(self.shape)]
        if self.scale_to_zero_window_s is not None:
            flags += ["--scale-to-zero-window", f"{self.scale_to_zero_window_s}s"]
        return [*flags, "--region", self.region, *(["--preemptible"] if self.preemptible else [])]


def check_name(name: str, what: str) -> None:
    """Make sure that a name is valid in a path.

    Raises:
        ConfigError: it is not.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not a valid {what}: use letters, digits and -, at most 63")


def create(target: Target, wanted: Wanted) -> Call:
    """Make a deployment."""
    model = wanted.base_model
    short = model_id(model) if model.startswith("accounts/fireworks/models/") else model
    return Call(
        f"create deployment {target.deployment_id}",
        "POST",
        _deployments(target.account),
        {"deploymentId": target.deployment_id},
        wanted.body(),
        _firectl(target.account, "create", short, "--deployment-id", target.deployment_id)
        + f" {shlex.join(wanted.flags())}",
        may_repeat=False,
    )


def get(target: Target) -> Call:
    """Look at a deployment."""
    return Call(
        f"look at deployment {target.deployment_id}",
        "GET",
        f"/v1/{target.name}",
        firectl=_firectl(target.account, "get", target.deployment_id),
        is_look=True,
    )


def list_page(account: str, token: str = "") -> Call:
    """List one page of an account's deployments."""
    query = {"pageSize": str(_PAGE_SIZE)} | ({"pageToken": token} if token else {})
    return Call(
        f"list the deployments of {account}",
        "GET",
        _deployments(account),
        query,
        firectl=_firectl(account, "list"),
        is_look=True,
    )


def rescale(target: Target, min_replicas: int, max_replicas: int) -> Call:
    """Set how many replicas a deployment may have; 0 and 0 turn it off."""
    low, high = str(min_replicas), str(max_replicas)
    return Call(
        f"scale deployment {target.deployment_id}",
        "PATCH",
        f"/v1/{target.name}",
        {"updateMask": _REPLICAS_MASK},
        {"minReplicaCount": min_replicas, "maxReplicaCount": max_replicas},
        _firectl(
            target.account,
            *("update", target.deployment_id),
            *("--min-replica-count", low, "--max-replica-count", high),
        ),
    )


def delete(target: Target, *, ignore_checks: bool = False, hard: bool = False) -> Call:
    """Delete a deployment; without `ignore_checks` only if it served nothing for an hour."""
    asked = {"ignoreChecks": ignore_checks, "hard": hard}
    flags = ["--ignore-checks"] * ignore_checks + ["--hard"] * hard
    return Call(
        f"delete deployment {target.deployment_id}",
        "DELETE",
        f"/v1/{target.name}",
        {key: "true" for key, is_asked in asked.items() if is_asked},
        firectl=_firectl(target.account, "delete", target.deployment_id, *flags),
    )


def match_shape(account: str, base_model: str) -> Call:
    """Look up the shapes for a model."""
    words = ["firectl", "deployment-shape-version", "match", "--model", model_id(base_model)]
    return Call(
        f"look up the shapes of {model_id(base_model)}",
        "POST",
        f"/v1/accounts/{account}/deploymentShapeVersions:match",
        body={"createDeploymentRequest": {"deployment": {"baseModel": base_model}}},
        firectl=shlex.join([*words, "--account-id", account]),
        is_look=True,
    )


def _deployments(account: str) -> str:
    return f"/v1/accounts/{account}/deployments"


def _firectl(account: str, verb: str, *words: str) -> str:
    own: Sequence[str] = ("firectl", "deployment", verb, *words, "--account-id", account)
    return shlex.join(own)
