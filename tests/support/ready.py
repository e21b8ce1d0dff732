"""Clips that are ready to be sent, and jobs that send them: random bytes instead of media."""

import hashlib
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from captionfleet.config import JobConfig
from captionfleet.messages import Clip, MediaFacts, ReadyClip, Source, base64_bytes
from captionfleet.telemetry import monotonic_s


def ready_clip(
    folder: Path, name: str = "clip", *, video_bytes: int = 5000, audio_bytes: int | None = 700
) -> ReadyClip:
    """A clip of random bytes, without sound where `audio_bytes` is None."""
    rng = random.Random(name)  # noqa: S311 - test data
    video, audio = folder / f"{name}.mp4", folder / f"{name}.ogg"
    video.write_bytes(rng.randbytes(video_bytes))
    sound = b"" if audio_bytes is None else rng.randbytes(audio_bytes)
    audio.write_bytes(sound)
    has_audio = audio_bytes is not None
    facts = MediaFacts(
        frames=2,
        width=640,
        height=360,
        has_audio=has_audio,
        audio_s=2.0,
        sampling="exact",
        video_bytes=video_bytes,
        audio_bytes=len(sound),
        payload_bytes=base64_bytes(video_bytes) + base64_bytes(len(sound)),
        video_sha256=hashlib.sha256(video.read_bytes()).hexdigest(),
        audio_sha256=hashlib.sha256(sound).hexdigest() if has_audio else None,
        source_codec="h264",
        source_width=640,
        source_height=360,
        source_s=2.0,
    )
    clip = Clip(name, Source(f"/films/{name}.mov", f"{name}.mov", 1, 1), 0.0, 2.0)
    return ReadyClip(clip, video, audio if has_audio else None, facts, 0.5, monotonic_s())


def job(*base_urls: str, request: Mapping[str, Any] | None = None, **deployment: Any) -> JobConfig:
    """A job with a deployment at each URL (d1, d2, …), all alike, and no key unless named."""
    common = {"model": "m", "api_key_env": "", "max_in_flight": 4} | deployment
    return JobConfig.model_validate(
        {
            "request": {"max_attempts": 3, "timeout_s": 20, **(request or {})},
            "deployments": [{"base_url": url, **common} for url in base_urls],
        }
    )
