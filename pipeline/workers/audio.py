"""Turns one audio track into 16 kHz mono Opus, aligned with the file's zero (worker process)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from av.audio.codeccontext import AudioCodecContext
    from av.audio.stream import AudioStream
    from av.packet import Packet

__all__ = ["SAMPLE_RATE_HZ", "AudioTrack"]

SAMPLE_RATE_HZ = 16_000
_SAMPLE_BYTES = 2
_BLOCK_SAMPLES = SAMPLE_RATE_HZ
# Timestamps of single frames jitter by a frame or so; only more than that is a gap.
_TOLERATED_SAMPLES = SAMPLE_RATE_HZ // 10


class AudioTrack:
    """Decodes packets of one track and writes an Ogg; nothing is written before sound comes.

    Sound before the zero is cut, a late start and gaps become silence, so that sample n is
    what is heard n / 16000 s after the zero.

    Args:
        zero: the zero, in ticks of the stream.
        seconds: how much is wanted.
    """

    def __init__(
        self, path: Path, stream: AudioStream, *, zero: int, seconds: float, bitrate: int
    ) -> None:
        self.decode_errors = 0
        self.stream = stream
        self._decoder: AudioCodecContext = stream.codec_context
        self._time_base = Fraction(stream.time_base or 1)
        self._zero = zero
        self._wanted_samples = round(seconds * SAMPLE_RATE_HZ)
        self._writer = _OpusWriter(path, bitrate)
        self._samples = 0
        self._cut_samples = 0
        self._resampler: AudioResampler | None = None
        self._layout: tuple[str, str, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    @property
    def is_complete(self) -> bool:
        """Whether all that is wanted has been written."""
        return self._samples >= self._wanted_samples

    @property
    def seconds(self) -> float:
        """How much has been written."""
        return self._samples / SAMPLE_RATE_HZ

    def push(self, packet: Packet[AudioStream] | None) -> None:
        """Decode a packet; errors of single packets are counted and become silence."""
        try:
            frames = self._decoder.decode(packet)
        except EOFError:
            return
        except (av.FFmpegError, ValueError):
            self.decode_errors += 1
            return
        for frame in frames:
            self._take(frame)

    def finish(self) -> None:
        """End of the track: drain the decoder, the resampler and the encoder."""
        if not self.is_complete:
            self.push(None)
            self._flush_resampler()
        self._writer.finish()

    def _take(self, frame: AudioFrame) -> None:
        if not frame.samples or not frame.sample_rate or not frame.layout.nb_channels:
            return
        self._align(frame)
        layout = (frame.format.name, frame.layout.name, frame.sample_rate)
        if layout != self._layout:
            self._flush_resampler()
            self._layout = layout
            self._resampler = AudioResampler("s16", "mono", SAMPLE_RATE_HZ)
        frame.pts = None
        self._resample(frame)

    def _align(self, frame: AudioFrame) -> None:
        if frame.pts is None:
            return
        at = round((frame.pts - self._zero) * self._time_base * SAMPLE_RATE_HZ)
        if not self._samples and at < 0:
            self._cut_samples = -at
        elif at - self._samples > (_TOLERATED_SAMPLES if self._samples else 0):
            self._flush_resampler()
            self._silence(at - self._samples)

    def _silence(self, samples: int) -> None:
        samples = min(samples, self._wanted_samples - self._samples)
        while samples > 0:
            block = min(samples, _BLOCK_SAMPLES)
            self._write(bytes(block * _SAMPLE_BYTES))
            samples -= block

    def _flush_resampler(self) -> None:
        if self._resampler is not None and self._layout is not None:
            self._resample(None)
        self._resampler = None
        self._layout = None

    def _resample(self, frame: AudioFrame | None) -> None:
        if self._resampler is None:
            return
        for piece in self._resampler.resample(frame):
            self._write(bytes(piece.planes[0])[: piece.samples * _SAMPLE_BYTES])

    def _write(self, pcm: bytes) -> None:
        cut = min(self._cut_samples, len(pcm) // _SAMPLE_BYTES)
        self._cut_samples -= cut
        pcm = pcm[cut * _SAMPLE_BYTES :]
        left = (self._wanted_samples - self._samples) * _SAMPLE_BYTES
        pcm = pcm[:left]
        self._samples += len(pcm) // _SAMPLE_BYTES
        self._writer.write(pcm)


class _OpusWriter:
    """Encodes 16-bit mono PCM; the file is made with the first sample."""

    def __init__(self, path: Path, bitrate: int) -> None:
        self._path = path
        self._bitrate = bitrate
        self._file: av.container.OutputContainer | None = None
        self._stream: AudioStream | None = None
        self._pending = bytearray()
        self._pts = 0

    def write(self, pcm: bytes) -> None:
        self._pending += pcm
        size = _BLOCK_SAMPLES * _SAMPLE_BYTES
        while len(self._pending) >= size:
            self._encode(bytes(self._pending[:size]))
            del self._pending[:size]

    def finish(self) -> None:
        if self._pending:
            self._encode(bytes(self._pending))
            self._pending.clear()
        if self._file is not None and self._stream is not None:
            self._file.mux(self._stream.encode(None))
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._stream = None

    def _encode(self, pcm: bytes) -> None:
        file, stream = self._open()
        samples = len(pcm) // _SAMPLE_BYTES
        frame = AudioFrame(format="s16", layout="mono", samples=samples)
        plane = frame.planes[0]
        plane.update(pcm + bytes(plane.buffer_size - len(pcm)))
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        frame.pts = self._pts
        self._pts += samples
        file.mux(stream.encode(frame))

    def _open(self) -> tuple[av.container.OutputContainer, AudioStream]:
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
