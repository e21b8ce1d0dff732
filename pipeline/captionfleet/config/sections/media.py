"""Defines the tables [input], [media], [workers] and [store] of the job file (main process)."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from captionfleet.config.memory import (
    ENOUGH_BYTES,
    available_bytes,
    enough_bytes,
    worker_bytes,
    workers_that_fit,
)
from captionfleet.config.sections.section import AnyPath, Section
from captionfleet.config.shares import as_share
from captionfleet.errors import ConfigError, FailureCode
from captionfleet.messages import Form, MediaSpec

__all__ = ["VIDEO_ENDINGS", "InputConfig", "MediaConfig", "StoreConfig", "WorkersConfig"]

_USUAL = Form()
_MOST_LOCAL = 1024
_ON_A_NODE_BYTES = 2**30  # ordinary clips need 768 MiB, see config.memory

VIDEO_ENDINGS = tuple(
    """
    .3g2 .3gp .asf .avi .divx .dv .f4v .flv .gif .m2ts .m2v .m4v .mjpeg .mjpg .mkv .mov .mp4
    .mpe .mpeg .mpg .mts .mxf .nut .ogm .ogv .qt .rm .rmvb .ts .vob .webm .wmv .y4m
    """.split()
)


def _as_code(value: object) -> object:
    known = ["all", *FailureCode]
    if value in known:
        return value
    alike = get_close_matches(str(value), known, n=1)
    meant = f", did you mean {alike[0]}?" if alike else f": one of {', '.join(known)}"
    raise ValueError(f"no failure code{meant}")


def _as_moves(value: object) -> object:
    """Parse OLD=NEW, the form of the flag, or take a table; both paths may hold "="."""
    if not isinstance(value, list | tuple):
        return value
    return dict(_move(str(one)) for one in value)


def _move(text: str) -> tuple[str, str]:
    signs = [at for at, character in enumerate(text) if character == "=" and text[:at]]
    splits = [(text[:at], text[at + 1 :]) for at in signs if text[at + 1 :]]
    if not splits:
        raise ValueError(f"{text}: not OLD=NEW, the folder's former path and its present one")
    return next((split for split in splits if Path(split[1]).is_dir()), splits[0])


class InputConfig(Section):
    """The videos to caption, and the windows of them."""

    sources: tuple[AnyPath, ...] = Field(
        default=(),
        description="files, folders, lists (.txt, .lst, .csv, .tsv, .jsonl, .parquet), or -",
    )
    include: tuple[str, ...] = Field(
        default=tuple(f"*{ending}" for ending in VIDEO_ENDINGS),
        description="names or relative paths to take from folders, shell patterns, case ignored",
    )
    exclude: tuple[str, ...] = Field(
        default=(), description="names or relative paths to leave out, shell patterns"
    )
    identity: Literal["stat", "content"] = Field(
        default="stat",
        description="what identifies a file: path, size and change time; or content",
    )
    settle_s: float = Field(
        default=2.0,
        ge=0,
        le=3600,
        description="files in folders that changed this recently are taken last, once unchanged",
    )
    retry_failed: tuple[Annotated[Literal["all"] | FailureCode, BeforeValidator(_as_code)], ...] = (
        Field(default=(), description="permanent failures to try again: codes, or all")
    )
    only_request: tuple[str, ...] = Field(
        default=(), description="of several requests, send only these"
    )
    follow_symlinks: bool = Field(
        default=False, description="follow links that leave the folder, and links to folders"
    )
    relocate: Annotated[dict[AnyPath, AnyPath], BeforeValidator(_as_moves)] = Field(
        default={},
        description="folders that moved, old path to new: their files keep their captions",
    )
    allow_empty: bool = Field(default=False, description="accept sources without any video")
    segments: Literal["first", "all", "scenes"] = Field(
        default="first",
        description="the part of a film to caption: its first max_seconds; or all of it, in "
        "windows of max_seconds or by scenes, each a clip with its own line",
    )
    min_s: float = Field(
        default=5.0, ge=1, le=300, description="a shorter scene joins its neighbour"
    )
    overlap_s: float = Field(
        default=0.0, ge=0, le=599, description="seconds that a window shares with the one before"
    )
    shard: Annotated[str, AfterValidator(as_share)] = Field(
        default="",
        description="I/N, 0/16 to 15/16: this share of the files, by a hash of their paths",
    )
    limit: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="stop after this many clips that need a caption"
    )


class MediaConfig(Section):
    """How frames and sound of each clip are prepared."""

    fps: Literal[1] = Field(default=1, description="frames per second that the models expect")
    height: int = Field(default=360, ge=32, le=2160, multiple_of=2, description="pixels")
    max_seconds: int = Field(default=60, ge=1, le=600, description="seconds from the start")
    sampling: Literal["exact", "fast"] = Field(
        default="exact",
        description="exact: the frames that ffmpeg's fps=1 picks; fast: within each second, the "
        "frame that is cheapest to decode",
    )
    video_preset: Literal[
        "one_fps",
        "ultrafast",
        "superfast",
        "veryfast",
        "faster",
        "fast",
        "medium",
        "slow",
        "slower",
    ] = Field(
        default="one_fps",
        description="one_fps: x264 tuned for one frame a second, as good as fast or better; or a "
        "preset of x264",
    )
    audio_bitrate: int = Field(default=24_000, ge=6_000, le=128_000, description="bit/s, Opus")
    max_payload_bytes: int = Field(
        default=10_000_000, ge=10_000, description="base64 of video and audio together"
    )
    max_pixels: int = Field(
        default=8192 * 8192, ge=1, description="largest picture to decode, width times height"
    )

    @property
    def worker_needs_bytes(self) -> int:
        """The address space with which a worker prepares every ordinary clip at these settings."""
        return enough_bytes(self.height, self.max_seconds)

    def spec(self, form: Form = _USUAL) -> MediaSpec:
        """The settings that decide the prepared bytes, without pydantic, for worker processes."""
        return MediaSpec(
            fps=self.fps,
            height_px=self.height,
            sampling=self.sampling,
            video_preset=self.video_preset,
            audio_bitrate=self.audio_bitrate,
            max_payload_bytes=self.max_payload_bytes,
            max_pixels=self.max_pixels,
            form=form,
        )


def _workers(each_bytes: int = ENOUGH_BYTES) -> int:
    cores = len(os.sched_getaffinity(0))
    return min(_MOST_LOCAL, workers_that_fit(cores, available_bytes(), each_bytes))


def _memory_bytes(settled: dict[str, Any]) -> int:
    return _share_bytes(settled, ENOUGH_BYTES)


def _share_bytes(settled: Mapping[str, Any], least_bytes: int) -> int:
    """A worker's address space: its share of this machine, or 1 GiB on any node of a cluster."""
    if settled.get("engine") == "ray":
        return max(_ON_A_NODE_BYTES, least_bytes)
    return worker_bytes(settled.get("processes", 1), available_bytes(), least_bytes)


class WorkersConfig(Section):
    """The worker processes that prepare clips."""

    engine: Literal["local", "ray"] = Field(
        default="local", description="where workers run: on this machine, or on a Ray cluster"
    )
    address: str = Field(
        default="auto",
        description="of the Ray cluster, HOST:PORT; auto: $RAY_ADDRESS, or this machine's cluster",
    )
    processes: int = Field(
        default_factory=_workers,
        ge=1,
        le=16_384,
        description="workers; default: one per core, as far as memory allows; on Ray one per CPU "
        "of the cluster at the start of the run",
    )
    ahead_bytes: int = Field(
        default=2**30,
        ge=0,
        description="start no further clips while prepared media of this size wait to be sent",
    )
    clip_timeout_s: float = Field(
        default=300, gt=0, description="wall-clock limit for one clip; then its worker is killed"
    )
    memory_bytes: int = Field(
        default_factory=_memory_bytes,
        ge=2**28,
        description="address space of one worker; default: its share of the memory; on Ray 1 GiB",
    )
    confine: Literal["auto", "none"] = Field(
        default="auto",
        description="auto: a worker can access only its clip, as far as the kernel supports it",
    )
    recycle_clips: int = Field(
        default=500, ge=1, description="a worker is replaced after this many clips"
    )
    recycle_bytes: int = Field(
        default=2**29, ge=2**24, description="or when it holds more memory than this between clips"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.engine == "local" and self.processes > _MOST_LOCAL:
            raise ValueError(f"workers.processes is at most {_MOST_LOCAL:,} on one machine")
        return self

    def with_enough(self, each_bytes: int) -> "WorkersConfig":
        """The same with defaults for clips that need so much; what was set stands."""
        known, fitted = self.model_fields_set, dict(self)
        if "processes" not in known and self.engine == "local":
            fitted["processes"] = _workers(each_bytes)
        if "memory_bytes" not in known:
            fitted["memory_bytes"] = _share_bytes(fitted, each_bytes)
        return WorkersConfig.model_construct(set(known), **fitted)

    @property
    def processes_here(self) -> int:
        """Worker processes that may run on this machine, with any engine."""
        return self.processes if self.engine == "local" else _workers()


class StoreConfig(Section):
    """The folder of prepared media, which retries and later runs with other prompts reuse."""

    dir: AnyPath | None = Field(
        default=None, description="default: captionfleet/media in the user's cache folder"
    )
    max_bytes: int = Field(
        default=20_000_000_000, ge=0, description="the least recently used media are removed first"
    )

    def folder(self) -> Path:
        """The folder to use.

        Raises:
            ConfigError: the job names none, and the user has no home folder.
        """
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        try:
            return self.dir or Path(cache).expanduser() / "captionfleet" / "media"
        except RuntimeError:
            raise ConfigError(
                "no home folder to keep prepared media in: name one with [store] dir, or --store"
            ) from None
