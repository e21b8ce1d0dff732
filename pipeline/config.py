"""The job file: typed, frozen, unknown keys refused, errors that name the key (main process)."""

import os
import tomllib
from collections.abc import Mapping
from datetime import time
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from pipeline.errors import ConfigError, FailureCode
from pipeline.messages import MediaSpec
from pipeline.stop_rules import StopRules, parse_max_failures, parse_time

__all__ = [
    "DeploymentConfig",
    "InputConfig",
    "JobConfig",
    "LimitsConfig",
    "MediaConfig",
    "OutputConfig",
    "RequestConfig",
    "StoreConfig",
    "WorkersConfig",
    "load_job",
]

VIDEO_ENDINGS = tuple(
    """
    .3g2 .3gp .asf .avi .divx .dv .f4v .flv .gif .m2ts .m2v .m4v .mjpeg .mjpg .mkv .mov .mp4
    .mpe .mpeg .mpg .mts .mxf .nut .ogm .ogv .qt .rm .rmvb .ts .vob .webm .wmv .y4m
    """.split()
)


def _as_path(value: object) -> object:
    # pydantic reads str as UTF-8 and would refuse a name that is not; a Path it takes as it is.
    return Path(value) if isinstance(value, str) else value


def _as_text(value: object) -> object:
    # A number in the job file needs no quotes.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


AnyPath = Annotated[Path, BeforeValidator(_as_path)]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )


class InputConfig(_Section):
    """Where the videos are."""

    sources: tuple[AnyPath, ...] = Field(
        default=(), description="files, folders, and .txt or .lst lists of either, one path a line"
    )
    include: tuple[str, ...] = Field(
        default=tuple(f"*{ending}" for ending in VIDEO_ENDINGS),
        description="names to take from folders, shell patterns, case ignored",
    )
    exclude: tuple[str, ...] = Field(
        default=(), description="names or relative paths to leave out, shell patterns"
    )
    identity: Literal["stat", "content"] = Field(
        default="stat",
        description="what makes a file the same: name, size and change time, or its bytes",
    )
    settle_s: float = Field(
        default=2.0,
        ge=0,
        le=3600,
        description="files in folders that changed so recently are taken last, if at rest by then",
    )
    retry_failed: tuple[Literal["all"] | FailureCode, ...] = Field(
        default=(), description="permanent failures to try again: codes, or all"
    )
    follow_symlinks: bool = Field(
        default=False, description="follow links that leave the folder, and links to folders"
    )
    limit: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="stop after so many clips that need a caption"
    )


class MediaConfig(_Section):
    """What is made of each clip."""

    fps: Literal[1] = Field(default=1, description="frames per second that the models expect")
    height: int = Field(default=360, ge=32, le=2160, multiple_of=2, description="pixels")
    max_seconds: int = Field(default=60, ge=1, le=600, description="seconds from the start")
    sampling: Literal["exact"] = Field(
        default="exact", description="the frames that ffmpeg's fps=1 picks"
    )
    video_preset: Literal[
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"
    ] = Field(default="fast", description="x264 preset")
    audio_bitrate: int = Field(default=24_000, ge=6_000, le=128_000, description="bit/s, Opus")
    max_payload_bytes: int = Field(
        default=10_000_000, ge=10_000, description="base64 of video and audio together"
    )
    max_pixels: int = Field(
        default=8192 * 8192, ge=1, description="largest picture to decode, width times height"
    )

    def spec(self) -> MediaSpec:
        """The part that decides the prepared bytes, light enough for a worker process."""
        return MediaSpec(
            fps=self.fps,
            height_px=self.height,
            sampling=self.sampling,
            video_preset=self.video_preset,
            audio_bitrate=self.audio_bitrate,
            max_payload_bytes=self.max_payload_bytes,
            max_pixels=self.max_pixels,
        )


class WorkersConfig(_Section):
    """The worker processes that prepare clips."""

    processes: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)), ge=1, le=1024, description="workers"
    )
    clip_timeout_s: float = Field(
        default=300, gt=0, description="wall clock for one clip, then its worker is killed"
    )
    memory_bytes: int = Field(
        default=4 * 2**30, ge=2**28, description="address space of one worker"
    )
    recycle_clips: int = Field(
        default=500, ge=1, description="a worker is replaced after so many clips"
    )
    recycle_bytes: int = Field(
        default=2**29, ge=2**24, description="or when it holds more memory than this between clips"
    )


class StoreConfig(_Section):
    """Where prepared media are kept, for retries and for later runs with another prompt."""

    dir: AnyPath | None = Field(
        default=None, description="default: captionfleet/media in the user's cache folder"
    )
    max_bytes: int = Field(
        default=20_000_000_000, ge=0, description="the least recently used media go first"
    )

    def folder(self) -> Path:
        """The folder in effect."""
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return self.dir or Path(cache).expanduser() / "captionfleet" / "media"


class RequestConfig(_Section):
    """What is asked of the model."""

    prompt: str = Field(default="Describe what happens in this video.", min_length=1)
    system: str | None = Field(default=None, description="system message, the same for all clips")
    max_tokens: int = Field(default=1000, ge=1)
    temperature: float = Field(default=0.3, ge=0, le=2)
    stream: bool = Field(default=False, description="stream answers, which measures ttft_s")
    timeout_s: float = Field(default=300, gt=0, description="one attempt, upload to last byte")
    connect_timeout_s: float = Field(default=10, gt=0)
    max_attempts: int = Field(default=5, ge=1, description="attempts per clip")
    patience_s: float = Field(
        default=1800, ge=0, description="how long to wait while no deployment is up"
    )


class DeploymentConfig(_Section):
    """One deployment that takes requests."""

    name: str = Field(default="", max_length=100, description="default: d1, d2, …")
    base_url: str
    model: str = Field(min_length=1)
    api_key_env: str = Field(
        default="FIREWORKS_API_KEY",
        description="name of the environment variable that holds the key; empty: no key",
    )
    modalities: tuple[Literal["video", "audio"], ...] = ("video", "audio")
    max_in_flight: int = Field(default=32, ge=1, le=4096, description="ceiling of requests")
    adaptive: bool = Field(
        default=True, description="find the number in flight below the ceiling; false: keep to it"
    )
    provider: Literal["auto", "fireworks", "openai"] = Field(
        default="auto", description="which fields the server takes; auto goes by the host's name"
    )
    extra_body: dict[str, Any] = Field(
        default={}, description="further request fields, sent as they are"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        url = urlsplit(self.base_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise ValueError("base_url must look like https://host/v1")
        if url.username or url.password or url.query or url.fragment:
            raise ValueError("base_url must not hold a user, a password, a query or a fragment")
        if url.path.rstrip("/").endswith("/chat/completions"):
            raise ValueError("base_url ends before /chat/completions, as in https://host/v1")
        if "video" not in self.modalities:
            raise ValueError('modalities must hold "video"')
        return self

    @property
    def speaks_fireworks(self) -> bool:
        """Whether requests may hold only the fields that Fireworks documents."""
        host = urlsplit(self.base_url).hostname or ""
        is_fireworks = host == "fireworks.ai" or host.endswith(".fireworks.ai")
        return self.provider == "fireworks" or (self.provider == "auto" and is_fireworks)

    def api_key(self) -> SecretStr | None:
        """The key from the environment.

        An own server without a key is common, so the default variable may be unset there.

        Raises:
            ConfigError: the variable is named or needed, and is not set.
        """
        value = os.environ.get(self.api_key_env, "") if self.api_key_env else ""
        value = value.strip()
        if value:
            return SecretStr(value)
        named = "api_key_env" in self.model_fields_set and self.api_key_env
        if named or (self.api_key_env and self.speaks_fireworks):
            raise ConfigError(
                f"environment variable {self.api_key_env} is not set: "
                f"export it, or name another one with api_key_env (deployment {self.name})"
            )
        return None


class OutputConfig(_Section):
    """Where the lines go."""

    dir: AnyPath = Path("captions")
    fsync_s: float = Field(
        default=1.0, ge=0, description="longest time that a written line may wait for fsync"
    )
    recaption: bool = Field(default=False, description="replace captions that another request made")


class LimitsConfig(_Section):
    """When a run stops although clips are left; the next run goes on."""

    deadline: str | None = Field(default=None, description="local time of day, such as 06:00")
    max_hours: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="hours from the start of the run"
    )
    max_failures: Annotated[str, BeforeValidator(_as_text)] | None = Field(
        default=None, description='failed clips, as in 50, or their share, as in "5%"'
    )
    max_tokens_total: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="tokens in and out; what is in flight comes on top"
    )
    drain_s: float = Field(
        default=60.0, ge=0, description="how long an end waits for what is in flight"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.stop_rules()
        if self.deadline is not None:
            parse_time(self.deadline)
        return self

    def time_of_day(self) -> time:
        """The deadline, which must be set."""
        return parse_time(self.deadline or "")

    def stop_rules(self) -> StopRules:
        """The limits on what the run has done."""
        failures = None if self.max_failures is None else parse_max_failures(self.max_failures)
        return StopRules(failures, self.max_tokens_total)


class JobConfig(_Section):
    """A whole job, as a job file holds it."""

    input: InputConfig = InputConfig()
    media: MediaConfig = MediaConfig()
    workers: WorkersConfig = WorkersConfig()
    store: StoreConfig = StoreConfig()
    request: RequestConfig = RequestConfig()
    deployments: tuple[DeploymentConfig, ...] = ()
    output: OutputConfig = OutputConfig()
    limits: LimitsConfig = LimitsConfig()

    @model_validator(mode="before")
    @classmethod
    def _name_deployments(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("deployments"), list | tuple):
            return data
        named = [
            {**item, "name": item.get("name") or f"d{ordinal}"}
            if isinstance(item, Mapping)
            else item
            for ordinal, item in enumerate(data["deployments"], 1)
        ]
        return {**data, "deployments": named}

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [deployment.name for deployment in self.deployments]
        if len(set(names)) != len(names):
            raise ValueError("deployments must have different names")
        return self


def load_job(path: Path | None, overrides: Mapping[str, Any]) -> JobConfig:
    """Read a job file and lay the overrides over it.

    Relative paths in the file are taken from the file's own folder, those in the overrides
    from the working directory. `overrides` has the file's structure; its lists replace.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or a key is unknown or wrong.
    """
    where = str(path) if path else "arguments"
    data = _anchored(_read_toml(path), path.absolute().parent) if path else {}
    try:
        return JobConfig.model_validate(_merged(data, overrides))
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first_problem(error)}") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the job file: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None


def _anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    for section, key in (("input", "sources"), ("output", "dir"), ("store", "dir")):
        table = data.get(section)
        if isinstance(table, dict) and key in table:
            table[key] = _under(folder, table[key])
    return data


def _under(folder: Path, value: Any) -> Any:
    if isinstance(value, list):
        return [_under(folder, item) for item in value]
    return folder / Path(value).expanduser() if isinstance(value, str) else value


def _merged(data: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(data)
    for key, value in overrides.items():
        below = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = _merged(below, value) if both else value  # type: ignore[arg-type] # both
    return merged


def _first_problem(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    key = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "extra_forbidden":
            text = f"unknown key{_meant(first['loc'])}"
        case "missing":
            text = "this key is needed"
        case _:
            text = first["msg"].removeprefix("Value error, ")
    more = f" (and {len(others)} more)" if others else ""
    return f"{key}: {text}{more}" if key else f"{text}{more}"


def _meant(location: tuple[int | str, ...]) -> str:
    """The known key that an unknown one resembles, as a hint."""
    section, *below = location
    table: Any = JobConfig
    if below:
        known = JobConfig.model_fields[str(section)].annotation
        table = DeploymentConfig if section == "deployments" else known
    alike = get_close_matches(str(location[-1]), table.model_fields, n=1)
    return f", did you mean {alike[0]}?" if alike else ""
