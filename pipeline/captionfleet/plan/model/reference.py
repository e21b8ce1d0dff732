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
    """The properties of a clip that determine its work; `seconds` is the length of its window.

    An empty codec or 0 pixels means unknown.
    """

    codec: str
    pixels: int
    seconds: float

    @property
    def megapixels(self) -> float:
        """The size of one frame of the source."""
        return (self.pixels or _UNKNOWN_PX) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaProfile:
    """One deployment of the reference; replicas of a planned fleet behave like it.

    Attributes:
        names: The measured deployments, all of one model.
        curve: Request time of the mean clip in seconds, by requests in flight at its start.
        sigma: Sigma of the log-normal factor by which request times vary.
        max_in_flight: The most requests in flight that were measured; a plan assumes no more.
        adaptive: Whether the sender adapts the number in flight, up to that maximum.
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

    The terms are one, seconds, and seconds times megapixels of the source. `codecs` holds a factor
        for each measured codec.
    """

    terms: Terms
    codecs: tuple[tuple[str, float], ...] = ()
    overhead_s: float = 0.0

    def of(self, clip: ClipFacts) -> float:
        """The time for one clip; an unknown codec takes the mean of the known ones."""
        factor = dict(self.codecs).get(clip.codec, 1.0)
        seconds = self.terms.of(1.0, clip.seconds, clip.seconds * clip.megapixels)
        return self.overhead_s + factor * seconds

    def knows(self, codec: str) -> bool:
        """Whether clips of this codec were measured."""
        return not codec or any(codec == known for known, _ in self.codecs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A finished run, or a benchmark, as the basis of a plan.

    Attributes:
        request_factor: A function of the clip's seconds: its request time, relative to the mean
            clip's.
        worker_time: None where all media came from the store.
        clips: The number of measured clips; `captions` counts each of them once per request.
        requests: The names of the requests for each clip; usually one, without a name.
        prompt_tokens: Terms of one and the clip's seconds, summed over its requests; completion
            tokens and payload have the same form.
        request_drift: How much the mean request time varies between parts of the reference, as the
            standard deviation of its logarithm; likewise `worker_drift` and `token_drift`.
        startup_s: Seconds from the start of a run to its first request; `ending_s`, from its last
            caption to its end.
        mix: The measured clips, or a sample of them.
        timeout_s: The job's deadline for a request.
        fleet: The number of replicas and worker processes.
        notes: What limits the trust in a plan from it.
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
    """The clips to caption: their number, and a sample of them (or all).

    Attributes:
        unusable: Files that cannot be captioned, as far as their headers show.
        is_sample: Whether `mix` was drawn from the library itself, and does not hold all of it.
        headers_read: Files whose headers were read.
        films: How many films the clips are windows of; 0 where each file or row is one clip.
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
        """This many clips: like those of the reference, or of one length."""
        mix = reference.mix
        if clip_seconds is not None:
            mix = tuple(ClipFacts(one.codec, one.pixels, clip_seconds) for one in mix)
        note = "the plan assumes clips like those of the reference"
        return cls(label=f"{clips:,} clips", clips=clips, mix=mix, notes=(note,))

    @property
    def mean_seconds(self) -> float:
        """The mean length of its clips."""
        return sum(clip.seconds for clip in self.mix) / len(self.mix)
