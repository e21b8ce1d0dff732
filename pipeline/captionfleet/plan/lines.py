"""Reads the captions and run.json of a finished run as measurements for a plan (main process)."""

import math
import os
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from captionfleet.errors import ConfigError
from captionfleet.ledger.files.names import CAPTIONS, RUN
from captionfleet.ledger.files.reading import raw_lines, text_in
from captionfleet.ledger.past_runs import read_run
from captionfleet.messages import printable
from captionfleet.producer.windows import Cutting

__all__ = ["Lines", "RunRecord", "read_lines", "read_measured_run"]

_MAX_NAMES = 1000
_CLIP_NUMBERS = 1 << 52  # the largest integer that a float holds exactly
_FROM_STORE_S = 0.003  # decoding and encoding always take longer
_COLUMNS = (
    "ended_s", "request_s", "prepare_s", "seconds", "pixels", "prompt_tokens",
    "completion_tokens", "payload_bytes", "deployment", "codec", "request", "clip",
)  # fmt: skip


@dataclass(slots=True)
class Lines:
    """The lines of captions.jsonl as columns, 96 bytes a line; nan where a line has no value.

    `ended_s` is wall-clock time, in seconds. `prepare_s` is nan for media from the store.
    `deployment`, `codec` and `request` are indices into the lists of their names; `clip` numbers
    the clips, each of which has one line per request.
    """

    columns: dict[str, "array[float]"] = field(
        default_factory=lambda: {name: array("d") for name in _COLUMNS}
    )
    deployments: list[str] = field(default_factory=list)
    codecs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)
    unreadable: int = 0

    def __len__(self) -> int:
        return len(self.columns["ended_s"])

    def add(self, record: dict[str, Any]) -> None:
        """Add a line.

        Raises:
            ValueError, KeyError, TypeError, OverflowError: the line lacks a value that all have.
        """
        latency, media, usage = record["latency"], record["media"], record["usage"]
        name, codec = str(record["deployment"])[:200], str(media["source_codec"])[:40]
        values = {
            "ended_s": datetime.fromisoformat(record["completed_at_utc"]).timestamp(),
            "request_s": _size(latency["request_s"]),
            "prepare_s": _prepare_s(latency),
            "seconds": max(
                0.0,
                min(_size(record["end_s"]), _size(media["source_s"])) - _size(record["start_s"]),
            ),
            "pixels": _size(media["source_width"]) * _size(media["source_height"]),
            "prompt_tokens": _count(usage["prompt_tokens"]),
            "completion_tokens": _count(usage["completion_tokens"]),
            "payload_bytes": _size(media["payload_bytes"]),
            "deployment": _place(self.deployments, name),
            "codec": _place(self.codecs, codec),
            "request": _place(self.requests, text_in(record, "request")[:200]),
            "clip": hash(record["clip_id"]) % _CLIP_NUMBERS,
        }
        self.models.setdefault(name, str(record["model"])[:200])
        for column, value in values.items():
            self.columns[column].append(value)


def _size(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("no measure")
    return float(value)


def _count(value: float | None) -> float:
    return math.nan if value is None else _size(value) or math.nan


def _prepare_s(latency: Mapping[str, Any]) -> float:
    prepare_s = _size(latency["prepare_s"])
    is_made = bool(latency["decode_s"]) if "decode_s" in latency else True
    return prepare_s if is_made and prepare_s >= _FROM_STORE_S else math.nan


def _place(names: list[str], name: str) -> int:
    if name not in names:
        if len(names) == _MAX_NAMES:
            raise ValueError("too many names")
        names.append(name)
    return names.index(name)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The values of run.json that a plan needs; times are wall-clock times, in seconds.

    `requests` counts requests sent; `captioned` and `failed` count clips times requests of the job.
    `asked` names the job's requests that the run sent, and `left_out` those that --only-request
    excluded.
    """

    started_s: float
    ended_s: float
    captioned: int
    failed: int
    requests: int
    processes: int
    busy_s: float
    prepare_s: float
    bottleneck: str
    timeout_s: float
    max_seconds: int
    cutting: Cutting
    ceilings: Mapping[str, tuple[int, bool]]
    asked: tuple[str, ...] = ("",)
    left_out: tuple[str, ...] = ()


def read_measured_run(folder: Path) -> RunRecord:
    """Read the values that a plan needs from a folder's run.json. Blocks.

    Raises:
        ConfigError: the file is missing, or lacks a figure that the plan needs.
    """
    run = read_run(folder)
    try:
        return _run_record(run)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        where = _shown(folder / RUN)
        if not (folder / RUN).is_file():
            raise ConfigError(
                f"{where}: no such file: is this the output folder of a finished run?"
            ) from None
        raise ConfigError(f"{where}: this is not the run.json of a finished run") from None


def _run_record(run: Mapping[str, Any]) -> RunRecord:
    settings, share = run["settings"], run["time_share"]
    asked, left_out = _requests(settings)
    return RunRecord(
        asked=asked,
        left_out=left_out,
        started_s=_wall_s(run["started_at_utc"]),
        ended_s=_wall_s(run["ended_at_utc"]),
        captioned=int(run["captioned"]),
        failed=int(run["failed"]),
        requests=int(run["attempts"]),
        processes=max(1, int(settings["workers"]["processes"])),
        busy_s=_size(share["workers_busy_s"]),
        prepare_s=_size(share["prepare_s"]),
        bottleneck=str(run["bottleneck"]["limit"]),
        timeout_s=max(1.0, _size(settings["request"]["timeout_s"])),
        max_seconds=max(1, int(settings["media"]["max_seconds"])),
        cutting=_cutting(settings.get("input", {})),
        ceilings={
            str(one["name"]): (max(1, int(one["max_in_flight"])), bool(one["adaptive"]))
            for one in settings["deployments"]
        },
    )


def _requests(settings: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the requests that the run sent, and of the job's others."""
    tables = settings.get("requests") or [settings["request"]]
    names = tuple(text_in(table, "name")[:200] for table in tables)
    only = settings.get("input", {}).get("only_request") or names
    asked = tuple(name for name in names if name in only)
    return asked or names, tuple(name for name in names if name not in only)


def _cutting(settings: Mapping[str, Any]) -> Cutting:
    """Which windows of a film the run captioned; earlier versions always took the first."""
    known = Cutting(overlap_s=_size(settings.get("overlap_s", 0.0)))
    match settings.get("segments"):
        case "all" | "scenes" as segments:
            return replace(known, segments=segments)
        case _:
            return known


def _wall_s(text: str) -> float:
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def read_lines(folder: Path) -> Lines:
    """Read captions.jsonl; invalid lines, such as a torn last one, are counted. Blocks.

    Raises:
        ConfigError: it cannot be read.
    """
    path, lines = folder / CAPTIONS, Lines()
    try:
        for _, line in raw_lines(path):
            try:
                lines.add(orjson.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
                lines.unreadable += 1
    except OSError as error:
        raise ConfigError(f"{_shown(path)}: {error.strerror}") from None
    return lines


def _shown(path: Path) -> str:
    return printable(os.fspath(path))
