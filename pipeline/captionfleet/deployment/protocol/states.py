"""Parses and checks the control plane's answers about deployments; pure (main process)."""

import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from captionfleet.deployment.protocol.refusals import ControlError
from captionfleet.profiles.deployable import deployable, model_id, price_per_hour

__all__ = ["DeploymentPage", "DeploymentState", "ReplicaStats", "Shape", "Shapes", "read"]

_DEFAULT_WINDOW = "3600s"  # the service's default, for a deployment that names none
_Count = Annotated[int, Field(ge=0, le=1_000_000)]
_Printable = AfterValidator(lambda text: "".join(c if c.isprintable() else " " for c in text))
_Word = Annotated[str, Field(max_length=500), _Printable]
_Message = Annotated[str, Field(max_length=5000), _Printable]
_T = TypeVar("_T", bound=BaseModel)


class _Told(BaseModel):
    """A part of an answer; unknown fields are ignored, and null counts as absent."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None}


class ReplicaStats(_Told):
    """How many replicas are in each state."""

    pending_scheduling_replica_count: _Count = 0
    downloading_model_replica_count: _Count = 0
    initializing_replica_count: _Count = 0
    ready_replica_count: _Count = 0

    def __str__(self) -> str:
        return (
            f"{self.pending_scheduling_replica_count} pending, "
            f"{self.downloading_model_replica_count} downloading, "
            f"{self.initializing_replica_count} initializing, {self.ready_replica_count} ready"
        )

    @property
    def on_their_way(self) -> tuple[str, ...]:
        """The number of replicas in each state other than ready, without zeros."""
        found = {
            "pending": self.pending_scheduling_replica_count,
            "downloading": self.downloading_model_replica_count,
            "initializing": self.initializing_replica_count,
        }
        return tuple(f"{number} {state}" for state, number in found.items() if number)


class _Status(_Told):
    code: _Word = ""
    message: _Message = ""


class _Policy(_Told):
    scale_up_window: _Word = ""
    scale_down_window: _Word = ""
    scale_to_zero_window: _Word = ""
    load_targets: dict[_Word, float] = {}


class _Placement(_Told):
    region: _Word = ""
    multi_region: _Word = ""


class DeploymentState(_Told):
    """The state of a deployment; absent fields are zero or empty, as in proto JSON."""

    name: _Word
    state: _Word = "STATE_UNSPECIFIED"
    status: _Status = _Status()
    base_model: _Word = ""
    deployment_shape: _Word = ""
    min_replica_count: _Count = 0
    max_replica_count: _Count = 0
    desired_replica_count: _Count = 0
    replica_count: _Count = 0
    replica_stats: ReplicaStats = ReplicaStats()
    autoscaling_policy: _Policy | None = None
    accelerator_type: _Word = ""
    accelerator_count: _Count = 0
    placement: _Placement = _Placement()
    region: _Word = ""
    preemptible: bool = False

    @property
    def deployment_id(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]

    @property
    def model(self) -> str:
        """The last part of the model's name."""
        return model_id(self.base_model)

    @property
    def ready(self) -> int:
        """Replicas that serve."""
        return self.replica_stats.ready_replica_count

    @property
    def is_gone(self) -> bool:
        """Whether it is deleted, or about to be."""
        return self.state in {"DELETING", "DELETED"}

    @property
    def is_changing(self) -> bool:
        """Whether a change of it is under way, during which others may be refused."""
        return self.state in {"CREATING", "UPDATING"}

    @property
    def is_off(self) -> bool:
        """Whether no request brings it up, because its maximum is 0 replicas."""
        return self.max_replica_count == 0

    @property
    def sleeps(self) -> bool:
        """Whether it has no replica now, and gets one on the first request."""
        return not (self.is_off or self.min_replica_count or self.desired_replica_count)

    @property
    def sleeps_after(self) -> str:
        """Idle time until it scales to zero by itself; empty if it never does."""
        if self.is_off or self.min_replica_count:
            return ""
        window = self.autoscaling_policy.scale_to_zero_window if self.autoscaling_policy else ""
        return window or _DEFAULT_WINDOW

    @property
    def label(self) -> str:
        """The state in the words of the service's own pages."""
        if self.state != "READY":
            return self.state.removeprefix("STATE_").capitalize()
        if self.ready:
            return "Serving"
        return "Inactive" if self.is_off else "Scaled to 0" if self.sleeps else "Starting"

    @property
    def replica_price(self) -> float | None:
        """Dollars per hour of a replica, if known."""
        known = deployable(self.base_model)
        accelerator = self.accelerator_type or (known.accelerator if known else "")
        return price_per_hour(accelerator, self.accelerator_count)


class DeploymentPage(_Told):
    """One page of a list."""

    deployments: Annotated[tuple[DeploymentState, ...], Field(max_length=1000)] = ()
    next_page_token: Annotated[str, Field(max_length=4000)] = ""


class Shape(_Told):
    """A predefined combination of GPU, precision and serving settings."""

    name: Annotated[str, Field(max_length=500, min_length=1)]
    accelerator_type: _Word = ""
    accelerator_count: _Count = 0
    preset_type: _Word = ""


class _ShapeVersion(_Told):
    snapshot: Shape


class Shapes(_Told):
    """The shapes in which a model may be deployed."""

    deployment_shape_versions: Annotated[tuple[_ShapeVersion, ...], Field(max_length=1000)] = ()

    def best(self) -> Shape | None:
        """The shape marked as the cheapest, else the first."""
        shapes = [version.snapshot for version in self.deployment_shape_versions]
        minimal = [shape for shape in shapes if shape.preset_type == "MINIMAL"]
        return next(iter(minimal + shapes), None)


def read(kind: type[_T], told: object, what: str) -> _T:
    """Parse and check an answer.

    Raises:
        ControlError: it does not match the documentation.
    """
    try:
        return kind.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])[:100] or "the answer"
        key = re.sub(r"[^\w.\[\] -]", "?", key)
        problem = f"{what}: the control plane's answer cannot be read ({key}: {first['msg']})"
        raise ControlError(problem) from None
