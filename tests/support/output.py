"""Reads an output folder back and checks what holds of every one."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from captionfleet.standin.ledger import RequestRecord
from captionfleet.standin.server import Standin

Line = dict[str, Any]


class _Documented(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Usage(_Documented):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int


class _Latency(_Documented):
    prepare_s: float = Field(ge=0)
    queue_s: float = Field(ge=0)
    request_s: float = Field(gt=0)
    ttft_s: float = Field(ge=0)
    total_s: float = Field(gt=0)
    decode_s: float = Field(ge=0)
    encode_s: float = Field(ge=0)
    upload_s: float = Field(ge=0)


class _Media(_Documented):
    frames: int = Field(ge=1)
    width: int = Field(ge=2, multiple_of=2)
    height: int = Field(ge=2, multiple_of=2)
    has_audio: bool
    audio_s: float
    sampling: str
    video_bytes: int = Field(gt=0)
    audio_bytes: int
    payload_bytes: int = Field(gt=0)
    video_sha256: str = Field(pattern="[0-9a-f]{64}")
    audio_sha256: str = Field(pattern="^([0-9a-f]{64})?$")
    source_codec: str
    source_width: int
    source_height: int
    source_s: float


class CaptionLine(_Documented):
    """A captions line as it is documented; every key is there, further ones may be."""

    clip_id: str
    source: str
    start_s: float
    end_s: float
    caption: str = Field(min_length=1)
    finish_reason: str
    model: str
    deployment: str
    attempts: int = Field(ge=1)
    usage: _Usage
    latency: _Latency
    media: _Media
    server: dict[str, float | str]
    completed_at_utc: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


class FailureLine(_Documented):
    """A failures line as it is documented."""

    clip_id: str
    source: str
    start_s: float
    end_s: float
    stage: str = Field(pattern="^(producer|workers|sender)$")
    code: str = Field(pattern="^[a-z_]+$")
    permanent: bool
    detail: str = Field(pattern=r"^[^\n]+$")
    attempts: int = Field(ge=0)


@dataclass(frozen=True, slots=True)
class Output:
    """An output folder."""

    folder: Path

    @property
    def captions(self) -> list[Line]:
        """All captions lines, each as documented, whole, and the only one of its request."""
        lines = self._lines("captions.jsonl")
        for line in lines:
            CaptionLine.model_validate(line)
            datetime.fromisoformat(line["completed_at_utc"])
        return _each_once(lines)

    @property
    def failures(self) -> list[Line]:
        """All failures lines, each as documented, whole, and the only one of its request."""
        lines = self._lines("failures.jsonl")
        for line in lines:
            FailureLine.model_validate(line)
        return _each_once(lines)

    @property
    def codes(self) -> dict[str, str]:
        """Failure codes by source."""
        return {line["source"]: line["code"] for line in self.failures}

    @property
    def run(self) -> Line:
        """run.json."""
        record: Line = orjson.loads((self.folder / "run.json").read_bytes())
        return record

    def settled_run(self) -> Line:
        """run.json of a run that ended by itself; every planned clip has its line."""
        run, captions, failures = self.run, self.captions, self.failures
        assert run["ended"] == "complete"
        assert run["planned"] == run["captioned"] + run["failed"]
        assert run["unfinished"] == 0
        assert len(captions) == run["captioned"] + run["already_captioned"]
        assert len(failures) == run["failed"] + run["standing_failures"]
        both = {key_of(line) for line in captions} & {key_of(line) for line in failures}
        assert not both
        return run

    def line_count(self) -> int:
        """How many captions there are so far, for a run that is still writing."""
        try:
            return (self.folder / "captions.jsonl").read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    def _lines(self, name: str) -> list[Line]:
        raw = (self.folder / name).read_bytes()
        assert not raw or raw.endswith(b"\n"), f"{name} ends in a torn line"
        return [orjson.loads(line) for line in raw.splitlines()]


def _each_once(lines: list[Line]) -> list[Line]:
    assert max(Counter(map(key_of, lines)).values(), default=1) == 1
    return lines


def key_of(line: Line) -> tuple[str, str]:
    """The clip and the request that a line is of; lines of earlier versions know no request."""
    return line["clip_id"], line.get("request", "")


def answered(*standins: Standin) -> list[RequestRecord]:
    """The requests to which a whole caption was sent."""
    spoilt = {"reset-during", "truncate", "garbage", "empty", "stream-error"}
    records = (record for standin in standins for record in standin.requests)
    return [record for record in records if record.status == 200 and record.fault not in spoilt]


def check_provenance(captions: Iterable[Line], *standins: Standin) -> None:
    """Every caption was made of the media its line names, and no media were captioned twice."""
    received = [(record.video_sha256, record.audio_sha256) for record in answered(*standins)]
    named = []
    for line in captions:
        video, audio = line["media"]["video_sha256"], line["media"]["audio_sha256"]
        named.append((video, audio or None))
        proof = f"\nvideo sha256 {video}" + (f"\naudio sha256 {audio}" if audio else "")
        assert line["caption"].endswith(proof)
    assert Counter(named) == Counter(received)
    assert max(Counter(named).values(), default=1) == 1
