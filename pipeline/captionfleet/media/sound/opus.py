"""Writes 16 kHz mono PCM as Opus in an Ogg (worker process)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.audio.frame import AudioFrame

if TYPE_CHECKING:
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import OutputContainer

__all__ = ["SAMPLE_BYTES", "SAMPLE_RATE_HZ", "OpusWriter"]

SAMPLE_RATE_HZ = 16_000
SAMPLE_BYTES = 2
_BLOCK_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES


class OpusWriter:
    """Encodes 16-bit samples; the file is made with the first second, or at the end."""

    def __init__(self, path: Path, bitrate: int) -> None:
        self._path = path
        self._bitrate = bitrate
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
        """Write what is left and close the file; there is none if nothing was written."""
        if self._pending:
            self._encode(bytes(self._pending))
            self._pending.clear()
        if self._file is not None and self._stream is not None:
            self._file.mux(self._stream.encode(None))
        self.close()

    def close(self) -> None:
        """Let go of the file, finished or not."""
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
            self._file = av.open(
                str(self._path), "w", format="ogg", container_options={"fflags": "+bitexact"}
            )
            self._stream = self._file.add_stream(
                "libopus", rate=SAMPLE_RATE_HZ, options={"b": str(self._bitrate)}
            )
            self._stream.codec_context.layout = "mono"
            self._stream.codec_context.format = "s16"
            self._stream.codec_context.bit_rate = self._bitrate
        return self._file, self._stream
