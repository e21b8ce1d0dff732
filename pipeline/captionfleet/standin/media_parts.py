"""Parses the media parts of a message, as real servers do; pure (server's process).

`video_url` and `audio_url` are parts of vLLM, SGLang and Fireworks; `image_url` and `input_audio`
are OpenAI's (https://platform.openai.com/docs/api-reference/chat/create, 2026-11).
"""

import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import pybase64
from pydantic import BaseModel

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.refusals import RefusedError, invalid, too_large

__all__ = ["Audio", "Image", "InputAudio", "Media", "Sent", "Video", "media_of"]

_MIME = {"ogg": "audio/ogg", "wav": "audio/wav", "mp3": "audio/mpeg"}


@dataclass(frozen=True, slots=True)
class Media:
    """One medium, decoded from base64."""

    data: bytes = field(repr=False)
    sha256: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The media of a request: a video or images, and a sound, with the kinds of parts."""

    video: Media | None = None
    pictures: tuple[Media, ...] = ()
    audio: Media | None = None
    audio_as: str | None = None


class _Url(BaseModel):
    url: str


class _VideoUrl(_Url):
    detail: str | None = None
    max_frames: int | None = None
    sample_fps: float | None = None
    spatial_limit: int | None = None


class _ImageUrl(_Url):
    detail: str | None = None


class _Data(BaseModel):
    data: str
    format: Literal["ogg", "wav", "mp3"]


class Video(BaseModel):
    """A whole video."""

    type: Literal["video_url"]
    video_url: _VideoUrl


class Image(BaseModel):
    """One picture."""

    type: Literal["image_url"]
    image_url: _ImageUrl


class Audio(BaseModel):
    """A sound as a data URL."""

    type: Literal["audio_url"]
    audio_url: _Url


class InputAudio(BaseModel):
    """A sound as base64 and the name of its format."""

    type: Literal["input_audio"]
    input_audio: _Data


def media_of(parts: Sequence[object], options: StandinOptions) -> Sent:
    """Decode the media of a request from base64.

    Raises:
        RefusedError: the server does not take such parts, or that many, or the base64 is invalid.
    """
    videos = [one.video_url.url for one in parts if isinstance(one, Video)]
    images = [one.image_url.url for one in parts if isinstance(one, Image)]
    sounds = [one.audio_url.url for one in parts if isinstance(one, Audio)]
    inputs = [one.input_audio for one in parts if isinstance(one, InputAudio)]
    _check_kinds(parts, options)
    _check_size([*videos, *images, *sounds, *(f",{one.data}" for one in inputs)], options)
    strict = options.strict
    audio = _media(sounds[0], _MIME["ogg"], "audio_url", strict=strict) if sounds else None
    if inputs:
        url = f"data:{_MIME[inputs[0].format]};base64,{inputs[0].data}"
        audio = _media(url, _MIME[inputs[0].format], "input_audio", strict=strict)
    return Sent(
        _media(videos[0], "video/mp4", "video_url", strict=strict) if videos else None,
        tuple(_media(url, "image/jpeg", "image_url", strict=strict) for url in images),
        audio,
        ("audio_url" if sounds else "input_audio") if audio else None,
    )


def _check_kinds(parts: Sequence[object], options: StandinOptions) -> None:
    kinds: list[str] = [getattr(part, "type", "") for part in parts]
    takes = {"video_url": "frames", "image_url": "video_url"}
    for kind, other in takes.items():
        if kind in kinds and options.video_as == other:
            raise RefusedError(invalid(f"unsupported content[].type: {kind}", kind))
    for kind in ("audio_url", "input_audio"):
        if kind in kinds and options.audio_as not in {"any", kind}:
            raise RefusedError(invalid(f"unsupported content[].type: {kind}", kind))
    for name, kinds_of in (
        ("video", {"video_url", "image_url"}),
        ("audio", {"audio_url", "input_audio"}),
    ):
        found = [kind for kind in kinds if kind in kinds_of]
        if found and name not in options.modalities:
            raise RefusedError(invalid(f"this model takes no {name} input", found[0]))
        if len(found) > 1 and set(found) != {"image_url"}:
            raise RefusedError(invalid(f"{len(found)} {name} parts; at most one", found[0]))


def _check_size(urls: Sequence[str], options: StandinOptions) -> None:
    payload_bytes = sum(len(url) - url.find(",") - 1 for url in urls)
    if payload_bytes >= options.max_payload_bytes:
        message = f"{payload_bytes} bytes of base64; it must be under {options.max_payload_bytes}"
        raise RefusedError(too_large(message))


def _media(url: str, mime_type: str, param: str, *, strict: bool) -> Media:
    head, comma, payload = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise RefusedError(invalid("only data:...;base64, URLs are accepted", param))
    if strict and head != f"data:{mime_type};base64":
        raise RefusedError(
            invalid(f"the media type is {head[5:-7][:64]!r}, not {mime_type}", param)
        )
    try:
        data = pybase64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(invalid("the data URL is not valid base64", param)) from error
    return Media(data, hashlib.sha256(data).hexdigest())
