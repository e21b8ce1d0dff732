"""Defines the outcome of a clip, a caption or a failure, and its requests; pure (any process)."""

from dataclasses import dataclass, field, replace
from typing import Any

from captionfleet.errors import FailureCode, Stage
from captionfleet.messages.clip import Clip, Film, Source
from captionfleet.messages.media import MediaFacts

__all__ = [
    "Adopted", "Attempt", "Caption", "Failure", "Latency", "Measured", "Note", "Outcome",
    "SameFile", "Usage",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the server reports them; `None` where it reports nothing."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that was sent: where, when (monotonic) and how it ended.

    With neither code nor status it was cancelled, as another request for the clip was answered.
    """

    deployment: str
    started_s: float
    ended_s: float
    code: FailureCode | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """Durations in seconds; `None` where unknown.

    `queue_s` runs from prepared media to the start of the attempt that answered, so it includes
    earlier attempts and back-off; `request_s` is that last attempt alone. `decode_s` and `encode_s`
    are parts of `prepare_s`; `upload_s` is the part of `request_s`, connecting included, until the
    last byte of the body was handed to the system.
    """

    prepare_s: float
    queue_s: float
    request_s: float
    ttft_s: float | None
    total_s: float
    decode_s: float | None = None
    encode_s: float | None = None
    upload_s: float | None = None


@dataclass(frozen=True, slots=True)
class Caption:
    """A captioned clip; `server` holds the deployment's own timings by their documented names.

    `flags` mark an odd text: "truncated", "unknown_finish", "degenerate", "refused"; or the clip:
    "cut_to_window". `reasoning` is the model's thinking. `media_key` names the media in the store,
    as long as they are there. `data` is the text as JSON, if the job asked for it. `hedged` says
    that a second deployment was asked too, because the first was slow. `request` is the name of the
    request, where the job has several; `prompt` its prompt, where a template made it for this clip.
    """

    clip: Clip
    text: str
    finish_reason: str
    model: str
    deployment: str
    usage: Usage
    latency: Latency
    facts: MediaFacts
    attempts: tuple[Attempt, ...]
    server: dict[str, float | str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    media_key: str = ""
    data: Any = None
    hedged: bool = False
    reasoning: str = ""
    request: str = ""
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A clip without caption; `detail` is one line and holds no secret; `request` as above."""

    clip: Clip
    stage: Stage
    code: FailureCode
    detail: str
    attempts: tuple[Attempt, ...] = ()
    request: str = ""

    def for_each_request(self) -> "list[Failure]":
        """The failure once for each request that the clip still needed."""
        return [replace(self, request=name) for name in self.clip.requests]


Outcome = Caption | Failure


@dataclass(frozen=True, slots=True)
class SameFile:
    """A clip known by its content, found in a file of another name or time."""

    clip: Clip


@dataclass(frozen=True, slots=True)
class Adopted:
    """A clip whose caption is filed under another id, of an earlier version or another root."""

    clip: Clip
    former_id: str


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of a whole film; `film_id` identifies this version of its file."""

    film_id: str
    source: Source
    film: Film


Note = SameFile | Adopted | Measured
"""What a producer found out about a clip that needs no work, or about a film."""
