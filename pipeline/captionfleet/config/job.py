"""Defines the job file as a whole, and reads it (main process)."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, ValidationInfo, field_validator, model_validator

from captionfleet.config.keys import KeyPair, default_pairs, service_base
from captionfleet.config.memory import available_bytes, overcommitment
from captionfleet.config.mistakes import mistakes
from captionfleet.config.requests import require_names, under_flags, with_requests
from captionfleet.config.response_schema import refused_by_fireworks
from captionfleet.config.sections.asking import (
    LimitsConfig,
    MetricsConfig,
    OutputConfig,
    RequestConfig,
)
from captionfleet.config.sections.deployment import DeploymentConfig
from captionfleet.config.sections.export import CaptionConfig, ExportConfig
from captionfleet.config.sections.media import InputConfig, MediaConfig, StoreConfig, WorkersConfig
from captionfleet.config.sections.section import Section
from captionfleet.errors import ConfigError
from captionfleet.messages import Form
from captionfleet.messages.address import is_address

__all__ = ["JobConfig", "load_job"]


_PATHS = (
    ("input", "sources"),
    ("output", "dir"),
    ("output", "recaption_list"),
    ("store", "dir"),
    ("request", "response_schema"),
)


class JobConfig(Section):
    """A whole job, with the keys of a job file.

    `requests` are the tables headed [[request]], of which `request` is the first; a job with one
    table [request] has none of them.
    """

    input: InputConfig = InputConfig()
    media: MediaConfig = MediaConfig()
    workers: WorkersConfig = WorkersConfig()
    store: StoreConfig = StoreConfig()
    request: RequestConfig = RequestConfig()
    requests: tuple[RequestConfig, ...] = ()
    deployments: tuple[DeploymentConfig, ...] = ()
    output: OutputConfig = OutputConfig()
    caption: CaptionConfig = CaptionConfig()
    export: tuple[ExportConfig, ...] = ()
    limits: LimitsConfig = LimitsConfig()
    metrics: MetricsConfig = MetricsConfig()

    @model_validator(mode="before")
    @classmethod
    def _read_requests(cls, data: Any) -> Any:
        return with_requests(data)

    @model_validator(mode="before")
    @classmethod
    def _name_deployments(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("deployments"), list | tuple):
            return data
        shard = data.get("input", {})
        shard = (
            shard.get("shard", "") if isinstance(shard, Mapping) else getattr(shard, "shard", "")
        )
        named = [
            _with_shard({**item, "name": item.get("name") or f"d{ordinal}"}, shard)
            if isinstance(item, Mapping)
            else item
            for ordinal, item in enumerate(data["deployments"], 1)
        ]
        return {**data, "deployments": named}

    @field_validator("workers", mode="after")
    @classmethod
    def _fit_workers(cls, workers: WorkersConfig, info: ValidationInfo) -> WorkersConfig:
        media: MediaConfig | None = info.data.get("media")  # None: it has a mistake
        return workers if media is None else workers.with_enough(media.worker_needs_bytes)

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [deployment.name for deployment in self.deployments]
        if len(set(names)) != len(names):
            raise ValueError("deployments must have different names")
        if self.input.overlap_s >= self.media.max_seconds:
            raise ValueError("input.overlap_s must be less than media.max_seconds")
        if self.input.segments == "scenes" and self.input.overlap_s:
            raise ValueError('input.overlap_s is for segments = "all": scenes do not overlap')
        if self.input.segments == "scenes" and 2 * self.input.min_s > self.media.max_seconds:
            raise ValueError("input.min_s must be at most half of media.max_seconds")
        require_names(self.all_requests, self.input.only_request)
        self._check_schema()
        self._check_frames()
        return self

    @property
    def overcommitment(self) -> str | None:
        """Why its ordinary clips do not fit into this machine's memory; None if they do."""
        each_bytes, needs_bytes = self.workers.memory_bytes, self.media.worker_needs_bytes
        workers = self.workers.processes_here
        return overcommitment(workers, each_bytes, available_bytes(), needs_bytes)

    @property
    def scenes_from_s(self) -> float | None:
        """The length in seconds from which films are cut by scenes; None for no film."""
        return 2 * self.input.min_s if self.input.segments == "scenes" else None

    @property
    def all_requests(self) -> tuple[RequestConfig, ...]:
        """Every request of the job."""
        return self.requests or (self.request,)

    @property
    def has_names(self) -> bool:
        """Whether its requests have names, so that a clip has one caption of each."""
        return any(one.name for one in self.all_requests)

    @property
    def asked(self) -> tuple[RequestConfig, ...]:
        """The requests that this run sends: all, or those that `only_request` names."""
        only = self.input.only_request
        return tuple(one for one in self.all_requests if not only or one.name in only)

    def with_one(self, request: RequestConfig) -> Self:
        """The job with a single request, which then needs no name."""
        chosen = self.input.model_copy(update={"only_request": ()})
        alone = request.model_copy(update={"name": ""})
        return self.model_copy(update={"request": alone, "requests": (), "input": chosen})

    @property
    def forms(self) -> tuple[Form, ...]:
        """The distinct media forms that the deployments take; without deployments, the default."""
        return tuple(dict.fromkeys(one.form for one in self.deployments)) or (Form(),)

    @property
    def key_pairs(self) -> frozenset[KeyPair]:
        """Servers that the job, the environment or this program names, with their key variables."""
        own = (deployment.key_pairs for deployment in self.deployments)
        return default_pairs(service_base()).union(*own)

    def _check_frames(self) -> None:
        for deployment in self.deployments:
            if (deployment.frames.height or 0) > self.media.height:
                raise ValueError(
                    f"frames.height of deployment {deployment.name} is above media.height "
                    f"({self.media.height}): frames are made from the same pictures"
                )

    def _check_schema(self) -> None:
        """Refuse a schema that a deployment does not take: every clip would fail there."""
        theirs = [one.name for one in self.deployments if one.speaks_fireworks]
        for request in self.all_requests if theirs else ():
            schema = request.response_schema
            if schema and (keyword := refused_by_fireworks(schema)):
                raise ValueError(
                    f"request.response_schema: {keyword}: Fireworks does not support it "
                    f"(deployment {theirs[0]})"
                )


def _with_shard(deployment: dict[str, Any], shard: object) -> dict[str, Any]:
    """A deployment's table with `share = "shard"` replaced by the shard of the sources."""
    return deployment | {"share": shard} if deployment.get("share") == "shard" else deployment


def load_job(
    path: Path | str | None = None, overrides: Mapping[str, Any] | None = None
) -> JobConfig:
    """Read a job file and apply overrides; either may be left out.

    Relative paths in the file start at the file's own folder, those in the overrides at the working
    directory. `overrides` is structured like the file; a list in it replaces the file's list.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or a key is unknown or wrong.
    """
    where = str(path) if path else "arguments"
    file = Path(path) if path else None
    data = _anchored(_read_toml(file), file.absolute().parent) if file else {}
    if "requests" in data:
        raise ConfigError(f"{where}: requests: unknown key: give tables headed [[request]]")
    try:
        return JobConfig.model_validate(_merged(_flagged(data, overrides or {}), overrides or {}))
    except ValidationError as error:
        raise ConfigError(f"{where}: {mistakes(error, JobConfig)}") from None
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _flagged(data: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The data with flags for requests applied to each [[request]] table.

    Raises:
        ValueError: a flag fits only one request, and there are several.
    """
    tables, flags = data.get("request"), overrides.get("request")
    if not isinstance(tables, list) or not isinstance(flags, Mapping):
        return data
    chosen = {**_table(data, "input"), **_table(overrides, "input")}
    return {**data, "request": under_flags(tables, flags, chosen.get("only_request") or ())}


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = data.get(name)
    return table if isinstance(table, Mapping) else {}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        # Some editors begin a file with a byte order mark, which TOML does not allow.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the job file: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None


def _anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    for section, key in _PATHS:
        tables = data.get(section)
        for table in tables if isinstance(tables, list) else [tables]:
            if isinstance(table, dict) and key in table:
                table[key] = _under(folder, table[key])
    moved = data.get("input")
    if isinstance(moved, dict) and isinstance(moved.get("relocate"), dict):
        moves = moved["relocate"].items()
        moved["relocate"] = {_under(folder, old): _under(folder, new) for old, new in moves}
    exports = data.get("export")
    for table in exports if isinstance(exports, list) else ():
        for key in ("out", "media"):
            if isinstance(table, dict) and key in table:
                table[key] = _under(folder, table[key])
    return data


def _under(folder: Path, value: Any) -> Any:
    if isinstance(value, list):
        return [_under(folder, item) for item in value]
    # A source may be standard input or an address, which have no folder.
    if not isinstance(value, str) or value == "-" or is_address(value):
        return value
    try:
        return folder / Path(value).expanduser()
    except RuntimeError:
        raise ConfigError(f"{value}: this home folder does not exist") from None


def _merged(data: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(data)
    for key, value in overrides.items():
        below = merged.get(key)
        if key == "request" and isinstance(below, list) and isinstance(value, Mapping):
            continue  # already applied to each of them
        if not isinstance(value, Mapping) or below is None:
            merged[key] = value
        elif isinstance(below, Mapping):  # not a table: validation reports it
            merged[key] = _merged(below, value)
    return merged
