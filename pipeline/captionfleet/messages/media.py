"""Defines prepared media, and the facts about them; pure (any process)."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from captionfleet.messages.clip import Clip

__all__ = ["MEDIA_ENDINGS", "Damage", "Form", "MediaFacts", "MediaSpec", "ReadyClip"]

MEDIA_ENDINGS = (".mp4", ".mjpeg", ".ogg", ".wav", ".mp3")
"""The endings of prepared media: video as one file or as concatenated JPEGs, and sound."""


@dataclass(frozen=True, slots=True)
class Form:
    """The form in which a server takes a clip's pictures and sound.

    `frame_height_px` is at most the height of the video, None for the same; `max_frames` thins the
    frames evenly, None keeps all. They and `jpeg_quality` do not apply to a `video_url`.
    """

    video_as: Literal["video_url", "frames"] = "video_url"
    audio_as: Literal["audio_url", "input_audio", "none"] = "audio_url"
    audio_format: Literal["ogg", "wav", "mp3"] = "ogg"
    frame_height_px: int | None = None
    jpeg_quality: int = 85
    max_frames: int | None = None

    @property
    def video_ending(self) -> str:
        """The file ending of the pictures."""
        return ".mp4" if self.video_as == "video_url" else ".mjpeg"

    @property
    def audio_ending(self) -> str:
        """The file ending of the sound."""
        return f".{self.audio_format}"


@dataclass(frozen=True, slots=True)
class MediaSpec:
    """How a worker prepares a clip; every field is part of the prepared media's identity."""

    fps: int = 1
    height_px: int = 360
    sampling: str = "exact"
    video_preset: str = "one_fps"
    crf: int = 23
    audio_bitrate: int = 24_000
    max_payload_bytes: int = 10_000_000
    max_pixels: int = 8192 * 8192
    form: Form = Form()


@dataclass(frozen=True, slots=True)
class Damage:
    """What a file lost within the clip's window, as far as detected; nothing by default.

    `packets_lost` counts packets that do not decode or are marked corrupt, and an estimate of video
    packets lost in gaps and a missing end. `coverage` is the share of the window's announced frames
    that were there. `frozen_frames` show another second's frame because their own were lost;
    `doubtful_frames` were decoded after a loss and before the next key frame, so parts may be
    smeared; `padded_frames` only fill up the number.
    """

    packets_lost: int = 0
    coverage: float = 1.0
    frozen_frames: int = 0
    doubtful_frames: int = 0
    padded_frames: int = 0


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """Facts about the prepared media and their source; times in seconds from the file's zero.

    `frame_times_s` holds the true source time of every frame sent, in order, repeats included.
    `crf` and `height` are those of the media sent: lower quality than the settings where the
    payload was too large. For a video sent as frames, `video_bytes` and `video_sha256` are those of
    all concatenated JPEGs, `frame_bytes` has the size of each, and `jpeg_quality` replaces `crf`;
    the other one is 0.
    """

    frames: int
    width: int
    height: int
    has_audio: bool
    audio_s: float
    sampling: str
    video_bytes: int
    audio_bytes: int
    payload_bytes: int
    video_sha256: str
    audio_sha256: str | None
    source_codec: str
    source_width: int
    source_height: int
    source_s: float
    padded_frames: int = 0
    rotation_deg: int = 0
    frame_times_s: tuple[float, ...] = ()
    decode_errors: int = 0
    crf: int = 23
    damage: Damage = field(default_factory=Damage)
    video_as: Literal["video_url", "frames"] = "video_url"
    audio_as: Literal["audio_url", "input_audio", "none"] = "audio_url"
    audio_format: Literal["ogg", "wav", "mp3"] = "ogg"
    jpeg_quality: int = 0
    frame_bytes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadyClip:
    """A clip whose media are on disk; no media bytes travel between the stages.

    `ready_s` is the monotonic time from which the sender can take it; `prepare_s` is the worker's
    time, nearly 0.0 if the media came from the store. Of that, `decode_s` is the pass over the
    file, sound included, and `encode_s` the encoding of H.264 or JPEGs; None if nothing was made.
    `media_key` names the media in the store. The change times are those of the files when they were
    hashed; None where they were not read. `others` hold the same clip in the other forms that the
    job's deployments take. `request` is the name of the request, and `prompt` its prompt for this
    clip, if a template makes one.
    """

    clip: Clip
    video: Path
    audio: Path | None
    facts: MediaFacts
    prepare_s: float
    ready_s: float
    media_key: str = ""
    decode_s: float | None = None
    encode_s: float | None = None
    video_mtime_ns: int | None = None
    audio_mtime_ns: int | None = None
    form: Form = Form()
    others: "tuple[ReadyClip, ...]" = ()
    request: str = ""
    prompt: str = ""

    def for_each_request(self) -> "list[ReadyClip]":
        """The clip once for each request that it still needs."""
        return [replace(self, request=name) for name in self.clip.requests]

    def in_form(self, form: Form) -> "ReadyClip":
        """The clip in this form, in which it must have been prepared."""
        return next(one for one in (self, *self.others) if one.form == form)
