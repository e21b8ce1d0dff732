"""Holds the deployments of one account, and the rules for changing them; pure, given the clock."""

import re
from collections.abc import Mapping
from itertools import count
from typing import Any

from captionfleet.standin.plane.deployment import Deployment, seconds_of
from captionfleet.standin.plane.options import PlaneOptions
from captionfleet.standin.refusals import Refusal, RefusedError

__all__ = ["Account"]

_MODELS = "accounts/fireworks/models/"
_SHAPES = "accounts/fireworks/deploymentShapes/"
# Models with the GPU of their one shape; that of Qwen3-Omni is documented, the others are invented.
_KNOWN = {
    "qwen3-omni-30b-a3b-instruct": "NVIDIA_H200_141GB",
    "molmo2-4b": "NVIDIA_H100_80GB",
    "molmo2-8b": "NVIDIA_H100_80GB",
}
_DEFAULTS: Mapping[str, Any] = {
    "minReplicaCount": 0,
    "maxReplicaCount": 0,
    "autoscalingPolicy": None,
    "displayName": "",
    "description": "",
}
_SETTABLE = frozenset(
    """
    acceleratorCount acceleratorType autoscalingPolicy baseModel deploymentShape description
    displayName enableSessionAffinity maxContextLength maxReplicaCount minReplicaCount placement
    precision preemptible
    """.split()
)
_LEAST_WINDOWS_S = {"scaleUpWindow": 0.0, "scaleDownWindow": 0.0, "scaleToZeroWindow": 300.0}
_MOST_LISTED = 200
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DEPLOYMENT = re.compile(
    r"(?:(accounts/[^/#]+/models/([^/#]+))#)?accounts/([^/#]+)/deployments/(.+)"
)


class Account:
    """Creates, changes and deletes deployments; refusals are raised as `RefusedError`."""

    def __init__(self, options: PlaneOptions) -> None:
        self.deployments: dict[str, Deployment] = {}
        self._options = options
        self._ordinals = count(1)

    def create(self, query: Mapping[str, str], body: Mapping[str, Any], now_s: float) -> Deployment:
        """Make a deployment."""
        name = query.get("deploymentId") or f"made-{next(self._ordinals)}"
        if not _ID.fullmatch(name):
            raise _invalid(f"deploymentId {name!r} must consist of a-z, 0-9 and -")
        if (there := self.deployments.get(name)) is not None and not there.deleted:
            raise RefusedError(Refusal(409, "ALREADY_EXISTS", f"deployment {name} exists"))
        model = str(body.get("baseModel", ""))
        if model.removeprefix(_MODELS) not in _KNOWN:
            raise RefusedError(Refusal(404, "NOT_FOUND", f"no model {model!r}"))
        if not body.get("deploymentShape") and query.get("acceptShapelessRisk") != "true":
            raise _invalid("deploymentShape is needed")
        gpu = {"acceleratorType": _KNOWN[model.removeprefix(_MODELS)], "acceleratorCount": 1}
        spec = {**_DEFAULTS, **gpu, **_checked(body)}
        spec["maxReplicaCount"] = max(spec["maxReplicaCount"], spec["minReplicaCount"], 1)
        made = Deployment(self._path(name), spec, self._options, now_s)
        self._check_quota(made.gpus)
        self.deployments[name] = made
        return made

    def find(self, name: str, now_s: float) -> Deployment:
        """The deployment of this name, even a deleted one."""
        one = self.deployments.get(name)
        if one is None or not one.is_known(now_s):
            raise RefusedError(Refusal(404, "NOT_FOUND", f"deployment {name} not found"))
        return one

    def page(self, query: Mapping[str, str], now_s: float) -> dict[str, Any]:
        """One page of the list."""
        shown = [
            one
            for one in self.deployments.values()
            if not one.deleted or query.get("showDeleted") == "true"
        ]
        try:
            size = min(int(query.get("pageSize", "50")), _MOST_LISTED)
            start = int(query.get("pageToken") or "0")
        except ValueError:
            raise _invalid("pageSize and pageToken are numbers") from None
        answer: dict[str, Any] = {
            "deployments": [one.as_json(now_s) for one in shown[start : start + size]],
            "totalSize": len(shown),
        }
        if start + size < len(shown):
            answer["nextPageToken"] = str(start + size)
        return answer

    def patch(
        self, name: str, query: Mapping[str, str], body: Mapping[str, Any], now_s: float
    ) -> Deployment:
        """Change the settings that the mask names; without a mask, all of them."""
        one, fields = self._living(name, now_s), _checked(body)
        mask = [_camel(part) for part in query.get("updateMask", "").split(",") if part]
        wanted = {key: fields.get(key, _DEFAULTS.get(key)) for key in mask}
        if not mask:
            wanted = dict(_DEFAULTS) | fields
        if self._options.drops_policy:
            wanted["autoscalingPolicy"] = None
        if (unknown := wanted.keys() - _SETTABLE) or "preemptible" in wanted:
            raise _invalid(f"cannot be changed: {', '.join(sorted(unknown)) or 'preemptible'}")
        after = one.spec | wanted
        if after["minReplicaCount"] > after["maxReplicaCount"]:
            raise _invalid("minReplicaCount exceeds maxReplicaCount")
        more = (after["maxReplicaCount"] - one.spec["maxReplicaCount"]) * one.spec[
            "acceleratorCount"
        ]
        self._check_quota(max(more, 0))
        one.update(wanted, now_s)
        return one

    def scale(self, name: str, body: Mapping[str, Any], now_s: float) -> Deployment:
        """Set the number of replicas, until the autoscaler changes it."""
        one, replicas = self._living(name, now_s), body.get("replicaCount")
        if not isinstance(replicas, int) or not 0 <= replicas <= one.spec["maxReplicaCount"]:
            raise _invalid("replicaCount is 0 to maxReplicaCount")
        one.scale(replicas, now_s)
        return one

    def delete(self, name: str, query: Mapping[str, str], now_s: float) -> None:
        """Delete a deployment, unless it is in use."""
        one = self._living(name, now_s)
        if one.is_in_use(now_s) and query.get("ignoreChecks") != "true":
            message = f"deployment {name} served inference within the last hour"
            raise RefusedError(Refusal(400, "FAILED_PRECONDITION", message))
        one.deleted = True
        one.lives.clear()
        if query.get("hard") == "true":
            del self.deployments[name]

    def shapes(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The shapes for a model."""
        request = body.get("createDeploymentRequest")
        deployment = request.get("deployment") if isinstance(request, dict) else None
        model = deployment.get("baseModel") if isinstance(deployment, dict) else None
        name = str(model).removeprefix(_MODELS)
        if name not in _KNOWN:
            raise RefusedError(Refusal(404, "NOT_FOUND", f"no model {model!r}"))
        snapshot = {
            "name": f"{_SHAPES}{name}-minimal",
            "acceleratorType": _KNOWN[name],
            "acceleratorCount": 1,
            "precision": "BF16",
            "presetType": "MINIMAL",
        }
        return {"deploymentShapeVersions": [{"snapshot": snapshot}]}

    def serving(self, model: str) -> Deployment:
        """The deployment that a request's model string names."""
        named = _DEPLOYMENT.fullmatch(model)
        one = (
            self.deployments.get(named[4]) if named and named[3] == self._options.account else None
        )
        if named is None or one is None or not self._is_accepted(named, one):
            message = "Model not found, inaccessible, and/or not deployed"
            raise RefusedError(Refusal(404, "NOT_FOUND", message, "model"))
        return one

    def _is_accepted(self, named: re.Match[str], one: Deployment) -> bool:
        if one.deleted or one.spec["maxReplicaCount"] == 0:
            return False
        if named[1] is None:
            return "deployment" in self._options.model_forms
        form = "fireworks" if named[1].startswith("accounts/fireworks/") else "account"
        is_own = one.spec["baseModel"].endswith(f"/{named[2]}")
        return is_own and form in self._options.model_forms

    def _path(self, name: str) -> str:
        return f"accounts/{self._options.account}/deployments/{name}"

    def _living(self, name: str, now_s: float) -> Deployment:
        one = self.find(name, now_s)
        if one.deleted:
            message = f"deployment {name} is deleted"
            raise RefusedError(Refusal(400, "FAILED_PRECONDITION", message))
        return one

    def _check_quota(self, gpus: int) -> None:
        held = sum(one.gpus for one in self.deployments.values() if not one.deleted)
        if held + gpus > self._options.gpu_quota:
            message = f"GPU quota of {self._options.gpu_quota} exceeded"
            raise RefusedError(Refusal(429, "RESOURCE_EXHAUSTED", message, "quota"))


def _checked(body: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := body.keys() - _SETTABLE:
        raise _invalid(f"unknown field {min(unknown)!r}")
    for key in ("minReplicaCount", "maxReplicaCount"):
        if not isinstance(body.get(key, 0), int) or body.get(key, 0) < 0:
            raise _invalid(f"{key} is a number from 0 on")
    _check_windows(body.get("autoscalingPolicy") or {})
    return dict(body)


def _check_windows(policy: Mapping[str, Any]) -> None:
    for key, least_s in _LEAST_WINDOWS_S.items():
        try:
            is_long_enough = key not in policy or seconds_of(policy[key]) >= least_s
        except (ValueError, AttributeError):
            is_long_enough = False
        if not is_long_enough:
            raise _invalid(f"{key} is a duration of {least_s:g} s or more, as in 300s")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def _invalid(message: str) -> RefusedError:
    return RefusedError(Refusal(400, "INVALID_ARGUMENT", message))
