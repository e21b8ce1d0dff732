"""The job file: typed, frozen, unknown keys refused, errors that name the key (main process)."""

from pipeline.config.asking import LimitsConfig, MetricsConfig, OutputConfig, RequestConfig
from pipeline.config.deployment import DeploymentConfig
from pipeline.config.flags import job_from_flags
from pipeline.config.job import JobConfig, load_job
from pipeline.config.lifecycle import ControlRef, LifecycleConfig
from pipeline.config.media import (
    VIDEO_ENDINGS,
    InputConfig,
    MediaConfig,
    StoreConfig,
    WorkersConfig,
)

__all__ = [
    "VIDEO_ENDINGS",
    "ControlRef",
    "DeploymentConfig",
    "InputConfig",
    "JobConfig",
    "LifecycleConfig",
    "LimitsConfig",
    "MediaConfig",
    "MetricsConfig",
    "OutputConfig",
    "RequestConfig",
    "StoreConfig",
    "WorkersConfig",
    "job_from_flags",
    "load_job",
]
