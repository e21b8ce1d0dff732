"""The chat-completions protocol: body out (main process; pure).

The body is known to the byte before any media is read: JSON around two holes, into which the
client streams base64 from the files.
"""

import re
from dataclasses import dataclass
from itertools import count
from typing import Any

import orjson

from captionfleet.config import DeploymentConfig, RequestConfig
from captionfleet.errors import ConfigError

__all__ = ["BodyTemplate", "base64_bytes", "body_template", "model_forms", "request_body"]

_SCHEMA_NAME = "caption"
_RESERVED = frozenset({"messages", "model", "stream"})


@dataclass(frozen=True, slots=True)
class BodyTemplate:
    """The JSON of a request around its media: head, video, and after an audio hole the tail.

    `audio_head` is what stands between video and audio, or None for a request without audio.
    """

    head: bytes
    audio_head: bytes | None
    tail: bytes

    @property
    def has_audio(self) -> bool:
        """Whether there is a hole for audio."""
        return self.audio_head is not None

    def size_bytes(self, video_bytes: int, audio_bytes: int) -> int:
        """The Content-Length for media files of these sizes."""
        size = len(self.head) + base64_bytes(video_bytes) + len(self.tail)
        if self.audio_head is not None:
            size += len(self.audio_head) + base64_bytes(audio_bytes)
        return size


def base64_bytes(size_bytes: int) -> int:
    """The length of the base64 of so many bytes (RFC 4648, with padding)."""
    return 4 * ((size_bytes + 2) // 3)


def request_body(
    request: RequestConfig, deployment: DeploymentConfig, video: str, audio: str | None
) -> dict[str, Any]:
    """The body as a value; `video` and `audio` are base64.

    Video, audio, text is the order of the vendor's own examples. Fireworks refuses fields that
    it does not document, and sends usage in streams without being asked.

    Raises:
        ConfigError: extra_body holds a field that this program decides.
    """
    parts: list[dict[str, Any]] = [_data_part("video_url", "video/mp4", video)]
    if audio is not None:
        parts.append(_data_part("audio_url", "audio/ogg", audio))
    parts.append({"type": "text", "text": request.prompt})
    messages: list[dict[str, Any]] = [{"role": "user", "content": parts}]
    if request.system is not None:
        messages.insert(0, {"role": "system", "content": request.system})
    body: dict[str, Any] = {
        "model": deployment.model,
        "messages": messages,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if request.response_schema is not None:
        schema = {"name": _SCHEMA_NAME, "schema": request.response_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.stream:
        body["stream"] = True
        if not deployment.speaks_fireworks:
            body["stream_options"] = {"include_usage": True}
    return _with_extra(body, deployment)


def _data_part(kind: str, media_type: str, base64: str) -> dict[str, Any]:
    return {"type": kind, kind: {"url": f"data:{media_type};base64,{base64}"}}


def _with_extra(body: dict[str, Any], deployment: DeploymentConfig) -> dict[str, Any]:
    decided = _RESERVED | ({"response_format"} & body.keys())
    if taken := decided & deployment.extra_body.keys():
        raise ConfigError(
            f"deployment {deployment.name}: extra_body must not hold {', '.join(sorted(taken))}"
        )
    if "max_completion_tokens" in deployment.extra_body:
        del body["max_tokens"]  # the same setting under its later name: servers take one
    return body | deployment.extra_body


def body_template(
    request: RequestConfig, deployment: DeploymentConfig, *, with_audio: bool
) -> BodyTemplate:
    """The body's bytes for this deployment, with holes where the media go.

    Raises:
        ConfigError: extra_body cannot be sent.
    """
    mark = _unused_mark(_dumped(request, deployment, "", ""))
    dumped = _dumped(request, deployment, mark, mark if with_audio else None)
    head, *middle, tail = dumped.split(mark.encode())
    return BodyTemplate(head, middle[0] if middle else None, tail)


def _unused_mark(body: bytes) -> str:
    # Between the "," and the quote around a data URL, a mark in @ signs can overlap nothing.
    return next(mark for n in count() if (mark := f"@{n}@").encode() not in body)


def _dumped(
    request: RequestConfig, deployment: DeploymentConfig, video: str, audio: str | None
) -> bytes:
    try:
        return orjson.dumps(request_body(request, deployment, video, audio))
    except TypeError:
        # Not chained: the encoder's error quotes the value.
        raise ConfigError(
            f"deployment {deployment.name}: prompt, system, model and extra_body must be "
            "valid Unicode text and JSON values"
        ) from None


def model_forms(model: str) -> tuple[str, str, str]:
    """The three forms of model string that Fireworks' own material uses for a deployment.

    Account, model and deployment are taken from what was given, as far as it names them.
    """
    found = dict(reversed(re.findall(r"(accounts|models|deployments)/([^/#\s]+)", model)))
    account = next(
        (name for name in re.findall(r"accounts/([^/#\s]+)", model) if name != "fireworks"),
        "ACCOUNT",
    )
    name = found.get("models", "MODEL")
    deployment = f"accounts/{account}/deployments/{found.get('deployments', 'ID')}"
    return (
        deployment,
        f"accounts/fireworks/models/{name}#{deployment}",
        f"accounts/{account}/models/{name}#{deployment}",
    )
