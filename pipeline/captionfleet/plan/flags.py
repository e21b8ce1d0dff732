"""Declares the flags of `captionfleet plan` (main process)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

__all__ = ["Gpu", "PlanFlags"]

Gpu = Literal["A100", "H100", "H200", "B200"]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFlags:
    """The flags of `plan`; `--help` shows the words below.

    Attributes:
        from_: Output folder of a finished run, or JSON of captionfleet bench.
        clips: Number of clips like those of the reference, instead of sources; by default the
            sources' own.
        hours: Hours of clips, instead of sources; by default the sources' own.
        clip_seconds: Length of those clips in seconds; by default as in the reference.
        segments: Which part of the sources' films is captioned, as for run: first, all or scenes;
            by default as in the reference.
        by: Deadline, as in 2026-11-23T06:00 (local time); by default there is none.
        within: Deadline from now, as in 48h; by default there is none.
        max_replicas: Most replicas; by default there is no limit.
        replicas: Exactly this many replicas; by default as many as needed.
        max_cores: Most cores there may be, one worker process on each; by default there is no
            limit.
        cores: Exactly this many cores; by default as many as needed.
        max_cost: Most dollars for the GPUs; by default there is no limit.
        price_per_gpu_hour: Dollars for an hour of a GPU; by default its list price.
        gpu: The GPU whose list price is used; one H200 is a replica of Qwen3-Omni.
        gpus_per_replica: GPUs of one replica.
        cold_start_s: Seconds from a replica's start until it serves; they are not billed.
        deployment: Plan with replicas like this deployment of the reference; by default like all of
            them.
        json: Print JSON.
    """

    from_: Annotated[Path, Parameter(name="--from")]
    clips: int | None = None
    hours: float | None = None
    clip_seconds: float | None = None
    segments: Literal["first", "all", "scenes"] | None = None
    by: str | None = None
    within: str | None = None
    max_replicas: int | None = None
    replicas: int | None = None
    max_cores: int | None = None
    cores: int | None = None
    max_cost: float | None = None
    price_per_gpu_hour: float | None = None
    gpu: Gpu = "H200"
    gpus_per_replica: int = 1
    cold_start_s: float = 0.0
    deployment: str | None = None
    json: Annotated[bool, Parameter(negative="")] = False
