"""What travels between the stages: plain frozen values, standard library only (any process)."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from captionfleet.errors import FailureCode, Stage

__all__ = [
    "MAX_ANSWER_BYTES",
    "MAX_LINE_BYTES",
    "MEDIA_ENDINGS",
    "NO_ROW",
    "Adopted",
    "Attempt",
    "Caption",
    "Clip",
    "Damage",
    "Failure",
    "Form",
    "Latency",
    "MediaFacts",
    "MediaSpec",
    "Note",
    "Outcome",
    "ReadyClip",
    "Row",
    "SameFile",
    "Source",
    "Usage",
    "base64_bytes",
    "for_terminal",
    "printable",
]


MAX_ANSWER_BYTES = 16 * 2**20
"""The longest answer that is read, decompressed."""
MAX_LINE_BYTES = 4 * MAX_ANSWER_BYTES
"""The longest line of the output that is read back: the line of any answer fits.

A byte of an answer makes at most three bytes of a line, where it is no UTF-8 and is replaced;
the rest is for `data`, at most 256 KiB of text, and for the facts.
"""


def printable(name: str) -> str:
    r"""A file name as valid UTF-8 text: bytes that are none become `\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def base64_bytes(*sizes_bytes: int) -> int:
    """The length of base64 of files of these sizes, each by itself (RFC 4648, with padding)."""
    return sum(4 * -(-size // 3) for size in sizes_bytes)


def for_terminal(text: str) -> str:
    r"""Text of others for one line of a terminal: what is not printable becomes `\x1b` or the like.

    Names and answers may hold line breaks, escape sequences and turns of the writing direction.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True, slots=True)
class Row:
    """What a row of a list says of its film, beside the path.

    `number` is its place in the list, from 1; `prompt`, if any, is asked instead of the job's;
    `start_s` and `end_s` are the window it asks for; both None is what the job takes of a film.
    `metadata` are the other columns, as JSON.
    """

    number: int
    id: str = ""
    prompt: str = ""
    start_s: float | None = None
    end_s: float | None = None
    metadata: str = "{}"


NO_ROW = Row(0)


@dataclass(frozen=True, slots=True)
class Source:
    """One file that was found, as it was when it was found.

    `path` opens the file; `name` is relative to `root`, the folder that it was found under.
    `real_path` is absolute and holds no link: it is what the file is known by, under whatever names
    it was found. All may hold undecodable bytes as surrogates (`os.fsdecode`).
    """

    path: str
    name: str
    size_bytes: int
    mtime_ns: int
    root: str = ""
    real_path: str = ""
    row: Row = NO_ROW

    @property
    def known_path(self) -> str:
        """The path that a clip of this file is known by."""
        return self.real_path or self.path


@dataclass(frozen=True, slots=True)
class Clip:
    """One window of one source: the unit of work, of payment and of output.

    `stat_id` is what it would be called by path, size and time, where `clip_id` goes by content.
    `stands_alone` says that the job asks for no other window of the film.
    """

    clip_id: str
    source: Source
    start_s: float
    end_s: float
    stat_id: str = ""
    stands_alone: bool = False

    def video_s(self, source_s: float) -> float:
        """How much video it holds if its film is this long, in seconds."""
        return max(0.0, min(self.end_s, source_s) - self.start_s)


MEDIA_ENDINGS = (".mp4", ".mjpeg", ".ogg", ".wav", ".mp3")
"""The endings of prepared media: video as one file or as JPEGs one after the other, and sound."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a server takes the media of a clip: what is made of its pictures and its sound.

    `frame_height_px` is at most the height of the video, None for the same; `max_frames` thins
    the frames evenly, None keeps all. They and `jpeg_quality` say nothing of a `video_url`.
    """

    video_as: Literal["video_url", "frames"] = "video_url"
    audio_as: Literal["audio_url", "input_audio", "none"] = "audio_url"
    audio_format: Literal["ogg", "wav", "mp3"] = "ogg"
    frame_height_px: int | None = None
    jpeg_quality: int = 85
    max_frames: int | None = None

    @property
    def video_ending(self) -> str:
        """What the file of the pictures ends in."""
        return ".mp4" if self.video_as == "video_url" else ".mjpeg"

    @property
    def audio_ending(self) -> str:
        """What the file of the sound ends in."""
        return f".{self.audio_format}"


@dataclass(frozen=True, slots=True)
class MediaSpec:
    """What a worker makes of a clip; every field is part of the prepared media's identity."""

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
    """What the file had lost within the clip's window, as far as it shows; nothing by default.

    `packets_lost` counts packets that do not decode or are marked corrupt, and estimates those of
    the video that gaps and a missing end took. `coverage` is the share of the window's frames, of
    those that the file promises, that were there. `frozen_frames` show another second's frame
    because their own were lost; `doubtful_frames` were decoded after a loss and before the next
    key frame, so parts may be smeared; `padded_frames` only make up the number.
    """

    packets_lost: int = 0
    coverage: float = 1.0
    frozen_frames: int = 0
    doubtful_frames: int = 0
    padded_frames: int = 0


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What was made of a clip, and of what; times in seconds from the file's common zero.

    `frame_times_s` holds the true source time of every frame sent, in order, repeats included.
    `crf` and `height` are what was sent: less than the settings ask where the payload was too
    large. Where the video went as frames, `video_bytes` and `video_sha256` are those of all JPEGs,
    one after the other, `frame_bytes` has the size of each, and `jpeg_quality` takes the place of
    `crf`; the other one is 0.
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
    """A clip whose media lie on disk; no media bytes travel between the stages.

    `ready_s` is the monotonic time at which the sender could have it; `prepare_s` is what the
    worker needed, 0.0 or nearly so when the media came from the store. Of that, `decode_s` is the
    pass over the file, its sound included, and `encode_s` the H.264; None if nothing was made.
    `media_key` names the media in the store. The mtimes are those of the files as they were
    hashed for the facts; None where they were not read. `others` hold the same clip in the
    other forms that the job's deployments take.
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

    def in_form(self, form: Form) -> "ReadyClip":
        """The clip as a server of this form takes it; it must have been prepared so."""
        return next(one for one in (self, *self.others) if one.form == form)


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the server reports them; `None` where it reports nothing."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that was sent: where, when (monotonic) and how it ended.

    Neither code nor status: it was cancelled, as another one for the same clip was answered.
    """

    deployment: str
    started_s: float
    ended_s: float
    code: FailureCode | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """Durations in seconds; `None` where nothing is known rather than a guess.

    `queue_s` runs from prepared media to the start of the attempt that answered, so it holds
    earlier attempts and back-off; `request_s` is that last attempt alone. `decode_s` and
    `encode_s` are parts of `prepare_s`; `upload_s` is the part of `request_s`, connecting
    included, until the last byte of the body was handed to the system.
    """

    prepare_s: float
    queue_s: float
    request_s: float
    ttft_s: float | None
    total_s: float
    decode_s: float | None = None
    encode_s: float | None = None
    upload_s: float | None = None


@dataclass(frozen=True, slots=True)
class Caption:
    """A captioned clip; `server` holds the deployment's own timings by their documented names.

    `flags` say what is odd about the text: "truncated", "unknown_finish", "degenerate"; or about
    the clip: "cut_to_window".
    `media_key` names what was sent in the media store, for as long as it is there. `data` is the
    text as JSON, where the job asked for it. `hedged` says that a second deployment was asked as
    well, as the first took long.
    """

    clip: Clip
    text: str
    finish_reason: str
    model: str
    deployment: str
    usage: Usage
    latency: Latency
    facts: MediaFacts
    attempts: tuple[Attempt, ...]
    server: dict[str, float | str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    media_key: str = ""
    data: Any = None
    hedged: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A clip without caption; `detail` is one line and holds no secret."""

    clip: Clip
    stage: Stage
    code: FailureCode
    detail: str
    attempts: tuple[Attempt, ...] = ()


Outcome = Caption | Failure


@dataclass(frozen=True, slots=True)
class SameFile:
    """A clip that is known by its content, met in a file of another name or time."""

    clip: Clip


@dataclass(frozen=True, slots=True)
class Adopted:
    """A clip whose caption stands under another id: of an earlier version, or of another root."""

    clip: Clip
    former_id: str


Note = SameFile | Adopted
"""What a producer learned of a clip that needs no work."""
