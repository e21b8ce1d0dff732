"""Decodes one audio track to 16 kHz mono, aligned with the file's zero (worker process)."""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import TYPE_CHECKING

import av

from captionfleet.media.sound.mono import MonoResampler, without_first
from captionfleet.media.sound.placing import SoundPlacer
from captionfleet.media.sound.writer import SAMPLE_BYTES, SAMPLE_RATE_HZ, SoundWriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet

    from captionfleet.media.sound.placing import Placed

__all__ = ["AudioTrack"]

_BLOCK_SAMPLES = SAMPLE_RATE_HZ
# This many frames in a row after the end of the window: no stray timestamp.
_FRAMES_BEYOND = 16
_MOST_TICKS_OFF = 1.5  # rounding of a frame's time, plus the samples left out of one


class AudioTrack:
    """Decodes the packets of one track for its writers, which get nothing before sound comes.

    Sample n is heard n / 16000 s after the zero: sound before the zero is cut, a late start and
    gaps become silence, and overlapping sound is heard once. Where timestamps jitter or run far
    back, the sound continues without a gap.

    Args:
        zero: the file's zero, in ticks of the stream.
        begin_s: where the wanted sound begins, from that zero; sample 0 is the nearest there.
        seconds: how much is wanted.
    """

    def __init__(
        self,
        writers: Sequence[SoundWriter],
        stream: AudioStream,
        *,
        zero: int,
        seconds: float,
        begin_s: float = 0.0,
    ) -> None:
        self.decode_errors = 0
        self.stream = stream
        self._decoder: AudioCodecContext = stream.codec_context
        samples_per_tick = Fraction(stream.time_base or 1) * SAMPLE_RATE_HZ
        self._samples_per_tick = samples_per_tick.as_integer_ratio()
        self._zero = zero
        self._begin = round(begin_s * SAMPLE_RATE_HZ)
        self._wanted = round(seconds * SAMPLE_RATE_HZ)
        self._writers = writers
        self._resampler: MonoResampler | None = None
        self._shape: tuple[str, str, int] | None = None
        self._written = 0
        self._placer: SoundPlacer[AudioFrame] = SoundPlacer(SAMPLE_RATE_HZ)
        self._next_out = 0  # the place of the resampler's next output, in samples from the zero
        self._beyond = 0
        self._has_begun = False
        self._samples_of_first: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self._writers:
            writer.close()

    @property
    def is_complete(self) -> bool:
        """Whether no further packet can matter."""
        return self._written >= self._wanted or self._beyond >= _FRAMES_BEYOND

    @property
    def seconds(self) -> float:
        """The seconds of sound written."""
        return self._written / SAMPLE_RATE_HZ

    def push(self, packet: Packet[AudioStream] | None) -> None:
        """Decode a packet; errors of single packets are counted and become silence."""
        try:
            frames = self._decoder.decode(packet)
        except EOFError:
            return
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError):
            self.decode_errors += 1
            return
        for frame in frames:
            if frame.samples and frame.sample_rate and frame.layout.nb_channels:
                self._place_frame(frame)

    def finish(self) -> None:
        """End the track: drain the decoder, the resampler and the encoder."""
        if not self.is_complete:
            self.push(None)
        for placed in self._placer.finish():
            self._take(placed)
        self._flush_resampler()
        for writer in self._writers:
            writer.finish()

    def _place_frame(self, frame: AudioFrame) -> None:
        at = self._placer.starts_at(self._stamp(frame))
        if self._begin and not self._has_begun and at < 0 and frame.pts is not None:
            on_grid = self._on_grid(frame, frame.pts)
            if on_grid is None:
                return
            frame, at = on_grid
        self._has_begun = True
        if at >= self._wanted:
            self._beyond += 1
            return
        self._beyond = 0
        samples = frame.samples * SAMPLE_RATE_HZ / frame.sample_rate
        for placed in self._placer.place(frame, at, samples):
            self._take(placed)

    def _stamp(self, frame: AudioFrame) -> int | None:
        """The sample that a frame's timestamp claims, counted from the start of the window."""
        if frame.pts is None:
            return None
        numerator, denominator = self._samples_per_tick
        return (frame.pts - self._zero) * numerator // denominator - self._begin

    def _take(self, placed: Placed[AudioFrame]) -> None:
        frame = placed.frame
        if placed.at is not None:
            self._flush_resampler()
            self._next_out = placed.at
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            self._flush_resampler()
            self._shape, self._resampler = shape, MonoResampler()
        frame.pts = None
        self._resample(frame)

    def _on_grid(self, frame: AudioFrame, pts: int) -> tuple[AudioFrame, int] | None:
        """The frame cut to where an input sample coincides with an output sample, and that sample.

        A resampler that starts there returns the same samples as one that starts at the film's
        zero. The first frame is skipped: a decoder may have dropped samples of it, as at a
        beginning.
        """
        if self._samples_of_first is None:
            self._samples_of_first = frame.samples
            return None
        rate = frame.sample_rate
        numerator, denominator = self._samples_per_tick
        ticks, scale = pts - self._zero, denominator * SAMPLE_RATE_HZ
        begins_at = (2 * ticks * numerator * rate + scale) // (2 * scale)
        begins_at = self._whole_frames(begins_at, frame.samples, numerator * rate / scale)
        dropped = -begins_at % (rate // gcd(rate, SAMPLE_RATE_HZ))
        if dropped >= frame.samples:
            return None
        at = (begins_at + dropped) * SAMPLE_RATE_HZ // rate - self._begin
        return without_first(frame, dropped), at

    def _whole_frames(self, begins_at: int, samples: int, samples_per_tick: float) -> int:
        """The start of a frame by the count of frames before it, as a coarse clock rounds it.

        Matroska's clock has milliseconds; frames of one size follow each other from the film's
        zero, the first shortened by what its decoder drops.
        """
        if samples_per_tick <= 1:
            return begins_at
        padding = (samples - (self._samples_of_first or 0)) % samples
        counted = round((begins_at + padding) / samples) * samples - padding
        is_rounding = abs(counted - begins_at) <= _MOST_TICKS_OFF * samples_per_tick
        return counted if is_rounding else begins_at

    def _flush_resampler(self) -> None:
        self._resample(None)
        self._resampler = self._shape = None

    def _resample(self, frame: AudioFrame | None) -> None:
        if self._resampler is None:
            return
        try:
            for pcm in self._resampler.push(frame):
                self._put(pcm)
        except (av.FFmpegError, ValueError):
            self.decode_errors += 1

    def _put(self, pcm: bytes) -> None:
        """Write samples at their place: after silence, or without those written already."""
        silence = min(self._next_out, self._wanted) - self._written
        self._next_out += len(pcm) // SAMPLE_BYTES
        while silence > 0:
            block = min(silence, _BLOCK_SAMPLES)
            self._write(bytes(block * SAMPLE_BYTES))
            silence -= block
        self._write(pcm[max(0, -silence) * SAMPLE_BYTES :])

    def _write(self, pcm: bytes) -> None:
        pcm = pcm[: (self._wanted - self._written) * SAMPLE_BYTES]
        self._written += len(pcm) // SAMPLE_BYTES
        for writer in self._writers:
            writer.write(pcm)
