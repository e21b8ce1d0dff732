"""Builds a job from a job file and the flags that override it, for every command (main process)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from captionfleet.config.job import JobConfig, load_job
from captionfleet.errors import ConfigError

__all__ = ["job_from_flags"]


def job_from_flags(
    job: Path | None,
    sections: Mapping[str, Mapping[str, Any]],
    *,
    base_urls: Sequence[str] = (),
    models: Sequence[str] = (),
    each_deployment: Mapping[str, Any] | None = None,
) -> JobConfig:
    """Override a job file by flags; a flag that is None was not given.

    Args:
        job: The job file, if there is one.
        sections: Flags by section of the job file.
        base_urls: Deployments, in pairs with `models`; they replace the file's.
        models: Their model strings.
        each_deployment: Flags that apply to every deployment.

    Raises:
        ConfigError: the file or a flag is wrong.
    """
    given = {name: _given(flags) for name, flags in sections.items()}
    overrides: dict[str, Any] = {name: flags for name, flags in given.items() if flags}
    if pairs := _pairs(base_urls, models):
        overrides["deployments"] = pairs
    return _for_each_deployment(load_job(job, overrides), _given(each_deployment or {}))


def _given(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flags.items() if value is not None}


def _pairs(base_urls: Sequence[str], models: Sequence[str]) -> list[dict[str, str]]:
    if len(base_urls) != len(models):
        raise ConfigError(
            f"{len(base_urls)} --base-url and {len(models)} --model: give the two in pairs"
        )
    return [{"base_url": url, "model": model} for url, model in zip(base_urls, models, strict=True)]


def _for_each_deployment(job: JobConfig, given: Mapping[str, Any]) -> JobConfig:
    if not given:
        return job
    dumped = job.model_dump(exclude_unset=True)
    deployments = [{**one, **given} for one in dumped.get("deployments", [])]
    return load_job(None, {**dumped, "deployments": deployments})
