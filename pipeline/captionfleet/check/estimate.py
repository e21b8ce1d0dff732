"""Estimates the tokens, hours and cost of a job from a sample of its clips; pure (main process)."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

from captionfleet.check.finding import Finding, ok, warn
from captionfleet.check.sources import ClipShape, Library
from captionfleet.config import DeploymentConfig, JobConfig
from captionfleet.media.facts.geometry import output_size_px
from captionfleet.profiles import GPU_PRICES, PRICES_OF, Profile
from captionfleet.text import rough, three_digits

__all__ = ["Estimate", "estimate", "estimate_findings"]

_BYTES_PER_TOKEN = 4.3
_TEMPLATE_TOKENS = 20
_ANSWER_TOKENS = 200
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate for one deployment, as if it did the whole job, or up to its limit, alone.

    Attributes:
        captions: One per clip and request that is left to send.
        prompt_tokens: For all captions; None if the model's token arithmetic is unknown.
        completion_tokens: For answers of 200 tokens, or of max_tokens if that is less.
        hours: Least and most: at full speed with all allowed requests in flight, and with one at a
            time. None without a canary.
        usd: The same hours on one replica, at the price of its GPU; None if unknown.
        limit: The limit of clips that leaves the others for later runs; None if all are done.
    """

    deployment: str
    clips: int
    captions: int
    prompt_tokens: int | None
    completion_tokens: int
    hours: tuple[float, float] | None
    gpu: str | None
    usd_per_hour: float | None
    usd: tuple[float, float] | None
    prices_of: str = PRICES_OF
    limit: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The estimate for programs."""
        return asdict(self)


def estimate(
    job: JobConfig, deployment: DeploymentConfig, library: Library, long_s: float | None
) -> Estimate | None:
    """The estimate; None without clips to derive it from.

    Args:
        job: The job.
        deployment: The deployment that does it.
        library: With the sample's shapes.
        long_s: How long the deployment took for the canary's long clip.
    """
    if not library.shapes:
        return None
    clips, profile = library.clips, deployment.known_as
    shapes = [_as_sent(shape, deployment) for shape in library.shapes]
    per_clip = _tokens_per_clip(job, profile, shapes)
    most = {one.name: min(one.max_tokens, _ANSWER_TOKENS) for one in job.asked}
    answers = [sum(most.get(name, 0) for name in shape.requests) for shape in shapes]
    captions = round(clips * sum(len(shape.requests) for shape in shapes) / len(shapes))
    hours = _hours(captions, deployment.places(), long_s)
    price = GPU_PRICES.get(profile.gpu or "")
    usd = (
        (hours[0] * price.usd_per_hour, hours[1] * price.usd_per_hour) if price and hours else None
    )
    return Estimate(
        deployment=deployment.name,
        clips=clips,
        captions=captions,
        prompt_tokens=None if per_clip is None else round(clips * per_clip),
        completion_tokens=round(clips * sum(answers) / len(shapes)),
        hours=hours,
        gpu=profile.gpu,
        usd_per_hour=price.usd_per_hour if price else None,
        usd=usd,
        limit=library.limit if library.is_limited else None,
    )


def _as_sent(shape: ClipShape, deployment: DeploymentConfig) -> ClipShape:
    """The shape with the frames that a deployment gets, and with sound if it takes that."""
    form = deployment.form
    audio_s = shape.audio_s if "audio" in deployment.modalities else 0.0
    if form.video_as != "frames":
        return replace(shape, audio_s=audio_s)
    frames = min(shape.frames, form.max_frames or shape.frames)
    height_px = min(form.frame_height_px or shape.height, shape.height)
    width, height = output_size_px(shape.width, shape.height, Fraction(1), 0, height_px)
    return replace(shape, frames=frames, width=width, height=height, audio_s=audio_s)


def _tokens_per_clip(job: JobConfig, profile: Profile, shapes: Sequence[ClipShape]) -> float | None:
    if profile.video_tokens is None:
        return None
    texts = {one.name: one.prompt + (one.system or "") for one in job.asked}
    text_tokens = {
        name: len(text.encode(errors="replace")) / _BYTES_PER_TOKEN + _TEMPLATE_TOKENS
        for name, text in texts.items()
    }
    total = 0.0
    for shape in shapes:
        media = profile.audio_tokens(shape.audio_s) + profile.video_tokens(
            shape.frames, shape.width, shape.height, float(job.media.fps)
        )
        total += sum(media + text_tokens.get(name, 0.0) for name in shape.requests)
    return total / len(shapes)


def _hours(requests: int, in_flight: int, long_s: float | None) -> tuple[float, float] | None:
    if long_s is None:
        return None
    one_by_one = requests * long_s / _HOUR_S
    return one_by_one / in_flight, one_by_one


def estimate_findings(estimates: Sequence[Estimate]) -> Iterator[Finding]:
    """The estimates in words."""
    for one in estimates:
        yield (warn if one.prompt_tokens is None else ok)(
            "estimate", _words(one), deployment=one.deployment
        )


def _words(one: Estimate) -> str:
    captions = f" for {one.captions:,} captions" if one.captions != one.clips else ""
    clips = f"{one.clips:,} clips{captions}"
    parts = [f"all {clips}" if one.limit is None else f"{clips} (limit = {one.limit:,})"]
    if one.prompt_tokens is None:
        parts.append("tokens not known for this model on this server")
    else:
        prompt, completion = map(three_digits, (one.prompt_tokens, one.completion_tokens))
        parts.append(f"{prompt} tokens in, {completion} out")
    if one.hours:
        times = " to ".join(dict.fromkeys(rough(each * _HOUR_S) for each in one.hours))
        parts.append(f"{times} on one replica by the canary")
    if one.usd:
        parts.append(f"${one.usd[0]:,.2f} to ${one.usd[1]:,.2f}")
    if one.usd_per_hour:
        parts.append(f"one {one.gpu} at ${one.usd_per_hour:.2f}/h, prices of {one.prices_of}")
    return "; ".join(parts)
