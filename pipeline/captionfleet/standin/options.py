"""Defines the options of a stand-in deployment; pure (server's process)."""

import math
from dataclasses import dataclass, field
from typing import Literal

from captionfleet.standin.faults import Fault
from captionfleet.standin.senses.viewing import FrameRule, Turn
from captionfleet.standin.tokens import Profile

__all__ = ["StandinOptions"]

_MODALITIES = frozenset({"video", "audio"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StandinOptions:
    """One stand-in replica.

    Attributes:
        port: 0 picks a free one.
        models: the model strings to serve; empty for any.
        modalities: "video", "audio" or both; a Molmo2 deployment takes no audio.
        video_as: the accepted kind of part for video, or any; others get a 400.
        audio_as: the accepted kind of part for sound, or any.
        api_key: the bearer key that requests must have; None for no key.
        strict: imitate Fireworks: refuse unknown fields and media in formats other than the
            guide's, and report timings in `fireworks-` headers and usage in every stream. Otherwise
            imitate an ordinary OpenAI-compatible server such as vLLM: ignore unknown fields, use
            integer error codes, and stream usage only on `include_usage`.
        frames: the frames of a video that reach the model; see `Viewing`.
        turned_deg: degrees by which its frames are turned, clockwise.
        deaf: whether audio is accepted and ignored.
        tells_usage: whether answers report token counts.
        profile: the model whose token arithmetic and least number of frames to use.
        slots: requests served at a time.
        max_queue: requests that can wait for a slot; further ones get a 429.
        service_time_s: seconds from taking a slot to the first token.
        service_time_jitter: fraction by which the service time varies, either way.
        time_per_token_s: seconds for each token after the first.
        completion_tokens: the length of every caption; None for that of its own text.
        halves_after_s: seconds after the first request when half of the slots are lost; None for
            never.
        cold_start_s: seconds from the first request on with 503 DEPLOYMENT_SCALING_UP.
        faults: failures to imitate; earlier ones take precedence.
        seed: seed of faults and jitter.
        watch_media: whether to decode the media; otherwise they are only hashed, and usage counts
            only text.
        names_media: whether every caption ends with the SHA-256 of its media, for tests.
        max_payload_bytes: limit on the base64 of video and audio together, which must be below it.
        max_seconds: the longest video and audio.
    """

    host: str = "127.0.0.1"
    port: int = 0
    models: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ("video", "audio")
    video_as: Literal["any", "video_url", "frames"] = "any"
    audio_as: Literal["any", "audio_url", "input_audio"] = "any"
    api_key: str | None = field(default=None, repr=False)
    strict: bool = False
    frames: FrameRule = "all"
    turned_deg: Turn = 0
    deaf: bool = False
    tells_usage: bool = True
    profile: Profile = "qwen3-omni"
    slots: int = 16
    max_queue: int = 64
    service_time_s: float = 0.0
    service_time_jitter: float = 0.0
    time_per_token_s: float = 0.0
    completion_tokens: int | None = None
    halves_after_s: float | None = None
    cold_start_s: float = 0.0
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    watch_media: bool = True
    names_media: bool = True
    max_payload_bytes: int = 10_000_000
    max_seconds: float = 60.0

    def __post_init__(self) -> None:
        self._check_words()
        self._check_at_least(1, "slots", "max_payload_bytes", "completion_tokens")
        self._check_at_least(0, "max_queue", "service_time_s", "time_per_token_s", "max_seconds")
        self._check_at_least(0, "halves_after_s", "cold_start_s")
        if not 0 <= self.service_time_jitter <= 1:
            raise ValueError("service_time_jitter is 0 to 1")

    def _check_words(self) -> None:
        if not self.modalities or not _MODALITIES.issuperset(self.modalities):
            raise ValueError(f'modalities are "video" and "audio", not {self.modalities}')
        if self.profile not in {"qwen3-omni", "molmo2"}:
            raise ValueError(f'profile is "qwen3-omni" or "molmo2", not {self.profile!r}')
        if self.frames not in {"all", "32", "2fps"} or self.turned_deg not in {0, 90, 180, 270}:
            raise ValueError("frames are all, 32 or 2fps, turned by 0, 90, 180 or 270 degrees")
        if self.api_key == "":
            raise ValueError("api_key is empty; None asks for no key")

    def _check_at_least(self, least: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise ValueError(f"{name} is at least {least} and finite, not {value}")
