"""Defines the JSON that `captionfleet bench` writes and `plan --from` reads; pure (main)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "BenchFile",
    "BenchSettings",
    "BenchedDeployment",
    "BenchedLoad",
    "BenchedPreparation",
    "BenchedSeconds",
    "stamped",
]

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class BenchedSeconds(_Part):
    """The spread of request times, in seconds."""

    mean: _Positive
    std: _Size = 0.0


class BenchedLoad(_Part):
    """The results of one load; token counts, `clip_s` and `payload_bytes` are means per caption.

    `in_flight` is None if the bench sent at a fixed rate of arrivals instead.
    """

    in_flight: Annotated[int, Field(gt=0, le=100_000)] | None = None
    clips_per_s: _Size
    request_s: BenchedSeconds | None = None
    prompt_tokens: _Size | None = None
    completion_tokens: _Size | None = None
    clip_s: _Size | None = None
    payload_bytes: _Size | None = None
    requests: int = 0
    is_steady: bool = True
    is_client_limit: bool = False


class BenchedDeployment(_Part):
    """One deployment and its loads, in the order of measuring.

    The deployment changed before `points[changed_at]`: earlier loads are out of date.
    """

    name: str
    model: str
    points: tuple[BenchedLoad, ...]
    changed_at: Annotated[int, Field(ge=0)] = 0


class BenchedPreparation(_Part):
    """How long a core takes to prepare a clip."""

    seconds_per_clip: _Positive
    clips: int = 0
    clip_s: _Size = 0.0


class BenchSettings(_Part):
    """The windows of a film that the bench took; earlier versions took the first minute.

    `requests` are the names of the requests for each clip, in turn; usually one, without a name.
    """

    segments: Literal["first", "all", "scenes"] = "first"
    overlap_s: _Size = 0.0
    max_seconds: Annotated[int, Field(ge=1, le=600)] = 60
    requests: Annotated[tuple[str, ...], Field(min_length=1, max_length=32)] = ("",)


class BenchFile(_Part):
    """The JSON of `captionfleet bench`, without fields that readers ignore."""

    kind: Literal["captionfleet-bench"]
    version: Literal[1]
    deployments: Annotated[tuple[BenchedDeployment, ...], Field(min_length=1)]
    prepare: BenchedPreparation | None = None
    is_complete: bool = True
    settings: BenchSettings = BenchSettings()


def stamped(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result, marked with its kind and version."""
    return {"kind": "captionfleet-bench", "version": 1, **result}
