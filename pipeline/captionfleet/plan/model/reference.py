"""Defines the measurements of one run, as the basis for predicting others; pure (main process)."""

from dataclasses import dataclass
from typing import Self

from captionfleet.plan.model.curve import Curve
from captionfleet.plan.model.shape import Terms
from captionfleet.producer.windows import FIRST_WINDOWS, Cutting

__all__ = ["ClipFacts", "Library", "Reference", "ReplicaProfile", "WorkerTime"]

_UNKNOWN_PX = 1280 * 720


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """The properties of a clip that decide its work; `seconds` is the length of its window.

    An empty codec and 0 pixels stand for unknown.
    """

    codec: str
    pixels: int
    seconds: float

    @property
    def megapixels(self) -> float:
        """The size of one picture of the source."""
        return (self.pixels or _UNKNOWN_PX) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaProfile:
    """One deployment of the reference; replicas of a planned fleet behave like it.

    Attributes:
        names: The deployments that it was measured on, all of one model.
        curve: Request time of the mean clip in seconds, by requests in flight at its start.
        sigma: The sigma of the log-normal factor by which request times vary.
        max_in_flight: The most requests in flight that were seen, which limits what a plan assumes.
        adaptive: Whether the number in flight is searched for, below that.
        is_saturated: Whether its capacity was reached.
    """

    names: tuple[str, ...]
    model: str
    curve: Curve
    sigma: float
    max_in_flight: int
    adaptive: bool
    requests: int
    is_saturated: bool


@dataclass(frozen=True, slots=True)
class WorkerTime:
    """Seconds that a worker process is busy with a clip.

    Terms: one, seconds, seconds times megapixels of the source. `codecs` holds a factor for each
    codec that was seen.
    """

    terms: Terms
    codecs: tuple[tuple[str, float], ...] = ()
    overhead_s: float = 0.0

    def of(self, clip: ClipFacts) -> float:
        """The time for one clip; an unknown codec counts as the mean of the known ones."""
        factor = dict(self.codecs).get(clip.codec, 1.0)
        seconds = self.terms.of(1.0, clip.seconds, clip.seconds * clip.megapixels)
        return self.overhead_s + factor * seconds

    def knows(self, codec: str) -> bool:
        """Whether clips of this codec were seen."""
        return not codec or any(codec == known for known, _ in self.codecs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A finished run, or a benchmark, as the basis of a plan.

    Attributes:
        request_factor: Of the clip's seconds: its request time, relative to the mean clip's.
        worker_time: None where no clip was prepared, all came from the store.
        clips: What it was measured on; `captions` counts each of them once a request.
        requests: The names of what is asked of each clip, one without a name as a rule.
        prompt_tokens: Of one and the clip's seconds, for all its requests together; so are the
            completion tokens and the payload.
        request_drift: How far the mean request time of a part of the reference lay from that of
            all, as a standard deviation of its logarithm; `worker_drift` and `token_drift` alike.
        startup_s: From the start of a run to its first request; `ending_s` from its last caption
            to its end.
        mix: The clips that it was measured on, or a sample.
        timeout_s: What the job allows a request.
        fleet: How many replicas and worker processes it had.
        notes: What has to be known about it to trust a plan.
    """

    label: str
    clips: int
    captions: int
    profiles: tuple[ReplicaProfile, ...]
    request_factor: Terms
    worker_time: WorkerTime | None
    prompt_tokens: Terms
    completion_tokens: Terms
    payload_bytes: Terms
    request_drift: float
    worker_drift: float
    token_drift: float
    mix: tuple[ClipFacts, ...]
    fleet: tuple[int, int]
    startup_s: float = 0.0
    ending_s: float = 0.0
    timeout_s: float = 300.0
    max_seconds: int = 60
    cutting: Cutting = FIRST_WINDOWS
    requests: tuple[str, ...] = ("",)
    notes: tuple[str, ...] = ()

    @property
    def per_clip(self) -> int:
        """How many captions each clip gets."""
        return len(self.requests)

    @property
    def mean_seconds(self) -> float:
        """The mean length of its clips."""
        return sum(clip.seconds for clip in self.mix) / len(self.mix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """What is to be captioned: the number of clips, and a sample of them (or all).

    Attributes:
        unusable: Files that cannot be captioned, as far as their headers show.
        is_sample: Whether `mix` was drawn from the library itself, and does not hold all of it.
        headers_read: Files whose headers were read.
        films: How many films the clips are windows of; 0 where each clip is a file's, or a row's.
    """

    label: str
    clips: int
    mix: tuple[ClipFacts, ...]
    unusable: int = 0
    is_sample: bool = False
    headers_read: int = 0
    films: int = 0
    notes: tuple[str, ...] = ()

    @classmethod
    def like(cls, reference: Reference, clips: int, clip_seconds: float | None = None) -> Self:
        """This many clips like those of the reference, or of one length."""
        mix = reference.mix
        if clip_seconds is not None:
            mix = tuple(ClipFacts(one.codec, one.pixels, clip_seconds) for one in mix)
        note = "the clips are taken to be like those of the reference"
        return cls(label=f"{clips:,} clips", clips=clips, mix=mix, notes=(note,))

    @property
    def mean_seconds(self) -> float:
        """The mean length of its clips."""
        return sum(clip.seconds for clip in self.mix) / len(self.mix)
