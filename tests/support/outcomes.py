"""Outcomes to write and to count, with every field set."""

from captionfleet.errors import FailureCode, Stage
from captionfleet.messages import (
    Attempt,
    Caption,
    Clip,
    Failure,
    Latency,
    MediaFacts,
    Source,
    Usage,
)

FACTS = MediaFacts(
    frames=60,
    width=640,
    height=360,
    has_audio=True,
    audio_s=60.0,
    sampling="exact",
    video_bytes=612_340,
    audio_bytes=181_200,
    payload_bytes=1_058_056,
    video_sha256="a" * 64,
    audio_sha256="b" * 64,
    source_codec="h264",
    source_width=1920,
    source_height=1080,
    source_s=312.4,
    frame_times_s=(0.0, 1.001, 2.002),
)


def make_clip(number: int = 1, name: str = "holiday/beach.mp4") -> Clip:
    """A clip whose id is its number."""
    return Clip(f"{number:032x}", Source(f"/videos/{name}", name, 1000, 5), 0.0, 60.0)


def make_caption(
    clip: Clip | None = None,
    *,
    text: str = "A dog runs along the beach.",
    finish_reason: str = "stop",
    server: dict[str, float | str] | None = None,
    usage: Usage = Usage(7402, 180, 7582, 0),  # noqa: B008 - frozen
    latency: Latency = Latency(1.92, 0.01, 3.3, 0.4, 5.2),  # noqa: B008 - frozen
) -> Caption:
    """A caption that took one attempt."""
    return Caption(
        clip=clip or make_clip(),
        text=text,
        finish_reason=finish_reason,
        model="omni",
        deployment="omni-a",
        usage=usage,
        latency=latency,
        facts=FACTS,
        attempts=(Attempt("omni-a", 10.0, 13.3),),
        server={} if server is None else server,
    )


def make_failure(
    clip: Clip | None = None,
    code: FailureCode = FailureCode.TIMEOUT,
    detail: str = "no answer in 300 s",
) -> Failure:
    """A failure after two attempts."""
    attempts = (Attempt("omni-a", 1.0, 2.5, code, 503), Attempt("omni-b", 3.0, 4.0, code))
    return Failure(clip or make_clip(), Stage.SENDER, code, detail, attempts)
