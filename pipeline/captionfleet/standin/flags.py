"""Declares the flags of `captionfleet serve` (server's process)."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

__all__ = ["ServeFlags"]

_Repeated = Annotated[tuple[str, ...], Parameter(negative="")]
_Switch = Annotated[bool, Parameter(negative="")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ServeFlags:
    """The flags of `serve`; `--help` shows the words below.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one.
        model: A model string to serve, repeatable; by default any.
        profile: The model whose token arithmetic and frame limits to use.
        video_only: Refuse audio, as Molmo2 does.
        video_as: Accept video_url, or frames as image_url, or any.
        audio_as: Accept audio_url, or input_audio, or any.
        frames: The frames that reach the model: all; 32 at most; or resampled to 2fps.
        turned_deg: Turn its frames clockwise, in degrees.
        deaf: Accept audio and ignore it.
        usage: Report token counts.
        api_key_env: Environment variable with the key that requests must have; by default none.
        provider: The service to imitate: openai, an ordinary OpenAI-compatible server such as vLLM,
            which ignores unknown fields; or fireworks, which refuses them, refuses media in formats
            other than its guide's, and reports timings in headers.
        strict: Former name of --provider fireworks; --no-strict is openai.
        slots: Requests served at a time.
        max_queue: Requests that can wait for a slot; further ones get a 429.
        service_time_s: Seconds until the first token, in a slot.
        service_time_jitter: Fraction by which the service time varies.
        time_per_token_s: Seconds for each further token.
        completion_tokens: Length of every caption in tokens; by default as its text needs.
        halves_after_s: Lose half of the slots this many seconds after the first request; by default
            never.
        cold_start_s: Answer 503 DEPLOYMENT_SCALING_UP for this many seconds from the first request
            on.
        fault: A failure to imitate, repeatable: KIND[+MODIFIER=VALUE][:RATE]. Kinds: a status (429,
            500, 502-html), scaling-up, reset-before, reset-during, hang, truncate, garbage, empty,
            not-json, misfit, stream-error, slow. Modifiers: retry-after, seconds, after, first. By
            default none.
        seed: Seed of the random faults and the jitter, any number.
        watch_media: Decode the media; otherwise only hash them.
        max_payload_bytes: Base64 bytes of video and audio together, which must be fewer.
        max_seconds: Longest video and audio, in seconds.
        control_plane: Serve a control plane whose deployments have replicas with these flags; the
            first line on stdout is then the URL for --api-base and FIREWORKS_BASE_URL.
        account: The control plane's account.
        time_scale: Factor on all its durations: 0.01 turns a cold start of 75 s into 0.75 s.
        gpu_quota: GPUs that its deployments can have together.
        autoscale: Replicas by the number of requests, as in 1:2,12:1: two from a deployment's first
            request on, one from the 12th. By default they follow the load.
        preempt_after: The request, counted among those that find a replica, at which a deployment
            loses one; by default none.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    model: _Repeated = ()
    profile: Literal["qwen3-omni", "molmo2"] = "qwen3-omni"
    video_only: _Switch = False
    video_as: Literal["any", "video_url", "frames"] = "any"
    audio_as: Literal["any", "audio_url", "input_audio"] = "any"
    frames: Literal["all", "32", "2fps"] = "all"
    turned_deg: Literal[0, 90, 180, 270] = 0
    deaf: _Switch = False
    usage: bool = True
    api_key_env: str | None = None
    provider: Literal["openai", "fireworks"] = "openai"
    strict: Annotated[bool | None, Parameter(show=False)] = None
    slots: int = 16
    max_queue: int = 64
    service_time_s: float = 0.0
    service_time_jitter: float = 0.0
    time_per_token_s: float = 0.0
    completion_tokens: int | None = None
    halves_after_s: float | None = None
    cold_start_s: float = 0.0
    fault: _Repeated = ()
    seed: int = 0
    watch_media: bool = True
    max_payload_bytes: int = 10_000_000
    max_seconds: float = 60.0
    control_plane: _Switch = False
    account: str = "stand-in"
    time_scale: float = 1.0
    gpu_quota: int = 8
    autoscale: str = ""
    preempt_after: int | None = None
