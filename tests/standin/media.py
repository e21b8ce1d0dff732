"""Makes small MP4 and Ogg files in memory, good and bad ones, and requests that carry them."""

import base64
import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from captionfleet.standin.senses.facts import AudioFacts, VideoFacts

RED, GREEN, BLUE = (210, 30, 30), (30, 150, 40), (30, 60, 200)
VIDEO = VideoFacts(
    container="mov",
    codec="h264",
    pix_fmt="yuv420p",
    width=640,
    height=360,
    frames=60,
    fps=1.0,
    duration_s=60.0,
    brightness=0.5,
    colour="grey",
    motion=0.0,
    cuts=0,
)
"""A minute as the guide prepares it."""
AUDIO = AudioFacts(
    codec="opus",
    sample_rate_hz=16_000,
    channels=1,
    duration_s=60.0,
    loudness_dbfs=-20.0,
    silent_fraction=0.0,
)
"""The sound of that minute."""


def plain(width: int, height: int, rgb: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return one picture of one colour."""
    return np.full((height, width, 3), rgb, np.uint8)


def mp4(
    pictures: Sequence[NDArray[np.uint8]],
    *,
    fps: int = 1,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    container_format: str = "mp4",
) -> bytes:
    """Encode pictures of one size, in order."""
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        stream: Any = container.add_stream(codec, rate=fps)
        stream.pix_fmt = pix_fmt
        stream.height, stream.width = pictures[0].shape[:2]
        stream.codec_context.thread_count = 1
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def film(frames: int = 4, width: int = 64, height: int = 48, *, fps: int = 1, **how: Any) -> bytes:
    """Encode a film of one red scene."""
    return mp4([plain(width, height, RED)] * frames, fps=fps, **how)


def ogg(seconds: float = 2.0, *, amplitude: float = 0.5, silent_s: float = 0.0) -> bytes:
    """Encode a 440-Hz tone, silent at the end, as mono Opus that came from 16 kHz."""
    return tone("ogg", "libopus", seconds, amplitude=amplitude, silent_s=silent_s)


def tone(
    container_format: str,
    codec: str,
    seconds: float,
    *,
    amplitude: float = 0.5,
    silent_s: float = 0.0,
    layout: str = "mono",
    rate_hz: int = 16_000,
) -> bytes:
    """Encode a 440-Hz tone."""
    file = io.BytesIO()
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    wave = amplitude * np.sin(2 * np.pi * 440 * times_s) * (times_s < seconds - silent_s)
    planes = np.repeat(wave[np.newaxis].astype(np.float32), 2 if layout == "stereo" else 1, axis=0)
    with av.open(file, "w", format=container_format) as container:
        stream: Any = container.add_stream(codec, rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def data_url(mime_type: str, data: bytes) -> str:
    """Return bytes as a data URL."""
    return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"


def body(video: bytes | None = None, audio: bytes | None = None, **fields: Any) -> dict[str, Any]:
    """Return a chat-completions request in the guide's order: video, audio, text."""
    content: list[dict[str, Any]] = []
    if video is not None:
        url = data_url("video/mp4", video)
        content.append({"type": "video_url", "video_url": {"url": url}})
    if audio is not None:
        url = data_url("audio/ogg", audio)
        content.append({"type": "audio_url", "audio_url": {"url": url}})
    content.append({"type": "text", "text": "Describe what happens in this video."})
    return {"model": "omni", "messages": [{"role": "user", "content": content}]} | fields
