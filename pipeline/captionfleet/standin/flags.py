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
        port: Port to listen on; 0 takes any free one.
        model: A model string to serve, repeatable; by default any is.
        profile: Whose token arithmetic and frame limits to use.
        video_only: Refuse audio, as Molmo2 does.
        video_as: Take video_url, or frames as image_url, or any.
        audio_as: Take audio_url, or input_audio, or any.
        frames: Which frames the model gets to see: all; 32 at most; or resampled to 2fps.
        turned_deg: Turn its pictures clockwise, by degrees.
        deaf: Take audio and drop it.
        usage: Report token counts.
        api_key_env: Environment variable that holds the key to ask for; by default none is asked
            for.
        provider: Imitated service: openai, an ordinary OpenAI-compatible server such as vLLM, which
            ignores fields that it does not know; or fireworks, which refuses them, and media
            beside the guide's formats, and reports timings in headers.
        strict: Former name of --provider fireworks; --no-strict of openai.
        slots: Requests served at a time.
        max_queue: Requests that may wait for a slot; past them a 429.
        service_time_s: Seconds until the first token, in a slot.
        service_time_jitter: Fraction by which the service time varies.
        time_per_token_s: Seconds for each further token.
        completion_tokens: Length of every caption in tokens; by default as what was seen needs.
        halves_after_s: Lose half of the slots these seconds after the first request; by default
            never.
        cold_start_s: Answer 503 DEPLOYMENT_SCALING_UP for these seconds from the first request
            on.
        fault: What goes wrong, repeatable: KIND[+MODIFIER=VALUE][:RATE]. Kinds: a status (429, 500,
            502-html), scaling-up, reset-before, reset-during, hang, truncate, garbage, empty,
            not-json, misfit, stream-error, slow. Modifiers: retry-after, seconds, after, first. By
            default nothing.
        seed: Number that draws the faults and the jitter.
        watch_media: Decode the media; else only hash them.
        max_payload_bytes: Bytes of base64 that video and audio together must stay under.
        max_seconds: Longest video and audio, in seconds.
        control_plane: Serve a control plane instead, whose deployments have such replicas; the
            first line on stdout is then what --api-base and FIREWORKS_BASE_URL want.
        account: The control plane's account.
        time_scale: Factor on all its durations: 0.01 makes a cold start of 75 s one of 0.75 s.
        gpu_quota: GPUs that its deployments may hold.
        autoscale: Replicas by requests, as in 1:2,12:1: two from the first request of a deployment
            on, one from the 12th. By default they follow the load.
        preempt_after: The request, of those that find a replica, at which a deployment loses one;
            by default none.
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
