"""Decodes the media of a request with libav, and describes them (server's process, in threads).

The bytes are untrusted: only the demuxers of accepted formats read them, no file that they name is
opened, and pixels and seconds are limited.
"""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from captionfleet.standin.senses.facts import AudioFacts, VideoFacts
from captionfleet.standin.senses.reading import bright_corner, read_digit
from captionfleet.standin.senses.viewing import Viewing, frames_kept

__all__ = ["UnreadableMediaError", "hear", "look", "look_at_pictures"]

_FRAME_PX_MAX = 16_777_216
_FRAMES_MAX = 10_000
_DECODED_PX_MAX = 1_000_000_000
_DECODED_AUDIO_S_MAX = 600
_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
_SOUNDS = "ogg,wav,mp3"
_JPEG = "jpeg_pipe"
_THUMBNAIL_PX = (32, 18)
_READING_PX = (256, 144)
_AS_SENT = Viewing()
_CUT = 0.2
_SILENT_RMS = 10 ** (-50 / 20)
_QUIETEST_DBFS = -120.0
_COLOURS = "black grey white red orange yellow green cyan blue purple pink brown".split()
_PALETTE = np.frombuffer(
    bytes.fromhex(
        "000000 808080 ffffff d21e1e f08c14 ebdc28 1e9628 28c8d2 1e3cc8 8228a0 f096b4 6e4623"
    ),
    dtype=np.uint8,
).reshape(-1, 3)


class UnreadableMediaError(Exception):
    """Raised when media cannot be decoded as their stated type; the message says why."""


def look(mp4: bytes, viewing: Viewing = _AS_SENT) -> VideoFacts:
    """Decode every frame of an MP4, and describe those that this server keeps.

    Raises:
        UnreadableMediaError: it is not an MP4, has no frames, is damaged, or is too large.
    """
    with _opened(mp4, _MP4, "video") as container:
        stream, codec = _first(container.streams.video, "the video holds no picture")
        if codec.width * codec.height > _FRAME_PX_MAX:
            raise UnreadableMediaError(f"frames of {codec.width}x{codec.height} are too large")
        codec.options = {"max_pixels": str(_FRAME_PX_MAX)}
        codec.thread_count = 1
        seen = _Seen(viewing)
        rate = stream.average_rate or Fraction(0)
        kept = frames_kept(viewing.frames, stream.frames, float(rate))
        for number, frame in enumerate(container.decode(stream)):
            # A server that keeps all frames also keeps those that the container does not count.
            for _ in range(1 if viewing.frames == "all" else kept.get(number, 0)):
                seen.add(frame)
        width, height = codec.width, codec.height
        return VideoFacts(
            container=container.format.name,
            codec=codec.codec.canonical_name,
            pix_fmt=codec.pix_fmt or "none",
            width=height if viewing.turned_deg % 180 else width,
            height=width if viewing.turned_deg % 180 else height,
            frames=seen.frames,
            fps=float(rate),
            duration_s=seen.duration_s(float(rate)),
            brightness=seen.brightness,
            colour=seen.colour,
            motion=seen.motion,
            cuts=seen.cuts,
            digits="".join(seen.digits),
            corner=seen.corner,
        )


def look_at_pictures(jpegs: Sequence[bytes], viewing: Viewing = _AS_SENT) -> VideoFacts:
    """Decode JPEGs, and describe all of them: servers that take images skip none.

    Raises:
        UnreadableMediaError: one is not a JPEG, is damaged, or is too large.
    """
    seen = _Seen(viewing)
    first: Any = None
    for jpeg in jpegs:
        with _opened(jpeg, _JPEG, "picture") as container:
            stream, codec = _first(container.streams.video, "an image holds no picture")
            codec.options = {"max_pixels": str(_FRAME_PX_MAX)}
            codec.thread_count = 1
            frames = list(container.decode(stream))
            if len(frames) != 1:
                raise UnreadableMediaError(f"an image holds {len(frames)} pictures, not one")
            first = first or frames[0]
            seen.add(frames[0])
    width, height = first.width, first.height
    return VideoFacts(
        container="jpeg",
        codec="mjpeg",
        pix_fmt=first.format.name,
        width=height if viewing.turned_deg % 180 else width,
        height=width if viewing.turned_deg % 180 else height,
        frames=seen.frames,
        fps=0.0,
        duration_s=0.0,
        brightness=seen.brightness,
        colour=seen.colour,
        motion=seen.motion,
        cuts=seen.cuts,
        digits="".join(seen.digits),
        corner=seen.corner,
        as_pictures=True,
    )


def hear(sound: bytes) -> AudioFacts:
    """Decode every sample of an Ogg, a WAV or an MP3.

    Raises:
        UnreadableMediaError: it is none of these, has no sound, is damaged, or is too long.
    """
    with _opened(sound, _SOUNDS, "audio") as container:
        stream, codec = _first(container.streams.audio, "the audio holds no sound")
        heard = _Heard()
        windows = av.AudioResampler("flt", "mono", frame_size=codec.sample_rate // 10)
        for frame in chain(container.decode(stream), [None]):
            for window in windows.resample(frame):
                heard.add(window.to_ndarray()[0], window.sample_rate)
        return AudioFacts(
            codec=codec.codec.canonical_name,
            sample_rate_hz=_rate_before_coding(codec.extradata) or codec.sample_rate,
            channels=codec.channels,
            duration_s=heard.duration_s,
            loudness_dbfs=heard.loudness_dbfs,
            silent_fraction=heard.silent_s / heard.duration_s if heard.duration_s else 1.0,
        )


@contextmanager
def _opened(data: bytes, demuxer: str, medium: str) -> Iterator[InputContainer]:
    options = {"format_whitelist": demuxer, "protocol_whitelist": "none"}
    # Bounds the frames that probing decodes; PyAV's stub has the wrong type for it.
    probe: Any = [{"max_pixels": str(_FRAME_PX_MAX)}]
    try:
        with av.open(
            io.BytesIO(data),
            "r",
            options=options,
            stream_options=probe,
            metadata_errors="replace",  # tags in another encoding are not damage
        ) as container:
            yield container
    # PyAV raises a bare ValueError for stream options to a file without streams.
    except (av.FFmpegError, ValueError) as error:
        wanted = {_MP4: "an MP4", _JPEG: "a JPEG"}.get(demuxer, "an Ogg, a WAV or an MP3")
        raise UnreadableMediaError(f"the {medium} cannot be decoded as {wanted}") from error


def _first(streams: Sequence[Any], otherwise: str) -> tuple[Any, Any]:
    """Return the first stream and its decoder; PyAV has None where libav knows no decoder."""
    for stream in streams[:1]:
        if stream.codec_context is not None:
            return stream, stream.codec_context
    raise UnreadableMediaError(otherwise)


def _rate_before_coding(extradata: bytes | None) -> int | None:
    """Return the input sample rate that OpusHead names (RFC 7845, 5.1), or None."""
    head = extradata or b""
    return int.from_bytes(head[12:16], "little") if head.startswith(b"OpusHead") else None


@dataclass(slots=True)
class _Seen:
    """Sums over the frames so far, from thumbnails of them."""

    viewing: Viewing
    frames: int = 0
    cuts: int = 0
    _decoded_px: int = 0
    _first_s: float = 0.0
    _last_s: float = 0.0
    _luma: float = 0.0
    _change: float = 0.0
    _votes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_COLOURS), np.int64))
    _previous: NDArray[np.int32] | None = None
    digits: list[str] = field(default_factory=list)
    corner: str = ""
    _digit: str = ""

    def add(self, frame: av.VideoFrame) -> None:
        self._decoded_px += frame.width * frame.height
        if self._decoded_px > _DECODED_PX_MAX or self.frames >= _FRAMES_MAX:
            raise UnreadableMediaError("the video is too large to be decoded")
        self._note_time(frame.time)
        width, height = _THUMBNAIL_PX
        small = frame.reformat(
            width=width, height=height, format="rgb24", interpolation="FAST_BILINEAR"
        ).to_ndarray()
        rgb = small.astype(np.int32)
        self._luma += float((rgb @ np.array([0.299, 0.587, 0.114])).mean()) / 255
        distances = ((rgb.reshape(-1, 1, 3) - _PALETTE) ** 2).sum(axis=2)
        self._votes += np.bincount(distances.argmin(axis=1), minlength=len(_COLOURS))
        self._compare(rgb)
        if self.viewing.reads:
            self._read(frame)
        self.frames += 1

    def _read(self, frame: av.VideoFrame) -> None:
        width, height = _READING_PX
        small = frame.reformat(width=width, height=height, format="gray", interpolation="AREA")
        gray = np.rot90(small.to_ndarray().astype(np.uint8), -self.viewing.turned_deg // 90)
        digit = read_digit(gray)
        if digit and digit != self._digit:
            self.digits.append(digit)
        self._digit = digit
        self.corner = bright_corner(gray) or self.corner

    def _note_time(self, time_s: float | None) -> None:
        self._last_s = self._last_s if time_s is None else time_s
        if self.frames == 0:
            self._first_s = self._last_s

    def _compare(self, rgb: NDArray[np.int32]) -> None:
        if self._previous is not None:
            change = float(np.abs(rgb - self._previous).mean()) / 255
            if change > _CUT:
                self.cuts += 1
            else:
                self._change += change
        self._previous = rgb

    def duration_s(self, rate: float) -> float:
        return self._last_s - self._first_s + (1 / rate if rate else 0.0) if self.frames else 0.0

    @property
    def brightness(self) -> float:
        return self._luma / self.frames if self.frames else 0.0

    @property
    def motion(self) -> float:
        return self._change / max(1, self.frames - 1 - self.cuts)

    @property
    def colour(self) -> str:
        return _COLOURS[int(self._votes.argmax())]


@dataclass(slots=True)
class _Heard:
    """Sums over the samples so far."""

    duration_s: float = 0.0
    silent_s: float = 0.0
    _energy_s: float = 0.0

    def add(self, samples: NDArray[Any], rate_hz: int) -> None:
        seconds = len(samples) / rate_hz
        power = float(np.square(samples, dtype=np.float64).mean()) if len(samples) else 0.0
        self.duration_s += seconds
        self._energy_s += power * seconds
        if power < _SILENT_RMS**2:
            self.silent_s += seconds
        if self.duration_s > _DECODED_AUDIO_S_MAX:
            raise UnreadableMediaError("the audio is too long to be decoded")

    @property
    def loudness_dbfs(self) -> float:
        power = self._energy_s / self.duration_s if self.duration_s else 0.0
        return max(_QUIETEST_DBFS, 10 * math.log10(power)) if power else _QUIETEST_DBFS
