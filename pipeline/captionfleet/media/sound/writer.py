"""Encodes 16 kHz mono PCM as Opus in Ogg, as WAV or as MP3 (worker process)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import OutputContainer

__all__ = ["SAMPLE_BYTES", "SAMPLE_RATE_HZ", "SoundWriter"]

SAMPLE_RATE_HZ = 16_000
SAMPLE_BYTES = 2
_BLOCK_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES


# Of each format: its encoder, and the samples that it takes.
_ENCODERS = {"ogg": ("libopus", "s16"), "wav": ("pcm_s16le", "s16"), "mp3": ("libmp3lame", "s16p")}


class SoundWriter:
    """Encodes 16-bit samples; creates the file with the first second of sound, or at the end.

    The bit rate is for Opus and MP3; MP3 uses the nearest that it knows.
    """

    def __init__(
        self, path: Path, bitrate: int, audio_format: Literal["ogg", "wav", "mp3"] = "ogg"
    ) -> None:
        self._path = path
        self._bitrate = bitrate
        self._format = audio_format
        self._file: OutputContainer | None = None
        self._stream: AudioStream | None = None
        self._pending = bytearray()
        self._pts = 0

    def write(self, pcm: bytes) -> None:
        """Take the next samples."""
        self._pending += pcm
        while len(self._pending) >= _BLOCK_BYTES:
            self._encode(bytes(self._pending[:_BLOCK_BYTES]))
            del self._pending[:_BLOCK_BYTES]

    def finish(self) -> None:
        """Write the rest and close the file; without any sound there is none."""
        if self._pending:
            self._encode(bytes(self._pending))
            self._pending.clear()
        if self._file is not None and self._stream is not None:
            self._file.mux(self._stream.encode(None))
        self.close()

    def close(self) -> None:
        """Close the file, finished or not."""
        if self._file is not None:
            self._file.close()
        self._file = self._stream = None

    def _encode(self, pcm: bytes) -> None:
        file, stream = self._open()
        samples = len(pcm) // SAMPLE_BYTES
        frame = AudioFrame(format="s16", layout="mono", samples=samples)
        plane = frame.planes[0]
        plane.update(pcm + bytes(plane.buffer_size - len(pcm)))
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        frame.pts = self._pts
        self._pts += samples
        file.mux(stream.encode(frame))

    def _open(self) -> tuple[OutputContainer, AudioStream]:
        if self._file is None or self._stream is None:
            encoder, samples = _ENCODERS[self._format]
            self._file = av.open(
                str(self._path),
                "w",
                format=self._format,
                container_options={"fflags": "+bitexact"},
            )
            options = {} if self._format == "wav" else {"b": str(self._bitrate)}
            stream = self._file.add_stream(encoder, rate=SAMPLE_RATE_HZ, options=options)
            assert isinstance(stream, AudioStream)  # noqa: S101 - of sound
            self._stream = stream
            stream.codec_context.layout = "mono"
            stream.codec_context.format = samples
            if self._format != "wav":
                stream.codec_context.bit_rate = self._bitrate
        return self._file, self._stream
