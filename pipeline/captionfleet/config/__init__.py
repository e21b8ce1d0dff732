"""Reads and checks the job file: typed, immutable, with errors that name the key (main process)."""

from captionfleet.config.flags import job_from_flags
from captionfleet.config.job import JobConfig, load_job
from captionfleet.config.sections.asking import (
    LimitsConfig,
    MetricsConfig,
    OutputConfig,
    RequestConfig,
)
from captionfleet.config.sections.deployment import DeploymentConfig
from captionfleet.config.sections.export import CaptionConfig, ExportConfig
from captionfleet.config.sections.lifecycle import ControlRef, LifecycleConfig
from captionfleet.config.sections.media import (
    VIDEO_ENDINGS,
    InputConfig,
    MediaConfig,
    StoreConfig,
    WorkersConfig,
)

__all__ = [
    "VIDEO_ENDINGS",
    "CaptionConfig",
    "ControlRef",
    "DeploymentConfig",
    "ExportConfig",
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
