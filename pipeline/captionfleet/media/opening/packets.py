"""Reads the packets of a container past damage, with consistent timestamps (worker process)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av

from captionfleet.media.opening.clock import DoubtedClock, JoinedClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["PacketReader"]

_CLOCK_MAY_JUMP = 0x0200  # AVFMT_TS_DISCONT
# Many demuxers return an error for each part that they cannot read and then continue; some return
# the same error for ever.
_MOST_ERRORS = 100
_MOST_ERRORS_IN_A_ROW = 10
# In a transport stream, the demuxer returns EAGAIN whenever it found no packet in 64 KiB. FFmpeg's
# command line then goes on; here that ends after 1 GiB, as in a disk image.
_MOST_LOOKS_AHEAD = 2**30 // 2**16


class PacketReader:
    """The packets of some streams in file order; `errors` counts the container's errors.

    Reading ends after `most_errors` of them.
    """

    def __init__(
        self,
        container: InputContainer,
        streams: Sequence[VideoStream | AudioStream],
        most_errors: int = _MOST_ERRORS,
    ) -> None:
        self._most_errors = most_errors
        self.errors = 0
        self._container = container
        self.streams = streams
        may_jump = container.format.flags & _CLOCK_MAY_JUMP
        self._clock = JoinedClock() if may_jump else DoubtedClock()
        self._scales: dict[int, tuple[int, int]] = {}

    @property
    def may_jump(self) -> bool:
        """Whether the format allows its clock to be reset midway."""
        return isinstance(self._clock, JoinedClock)

    @property
    def has_jumped(self) -> bool:
        """Whether the clock was reset in what was read so far."""
        return isinstance(self._clock, JoinedClock) and self._clock.jumps > 0

    def __iter__(self) -> Iterator[Packet[Any]]:
        """Yield packets until the file ends or returns only errors."""
        clock = self._clock
        for packet in self._read():
            if isinstance(clock, JoinedClock):
                _correct(packet, clock, self._scale(packet))
            else:
                _doubt(packet, clock, self._scale(packet))
            yield packet

    def _scale(self, packet: Packet[Any]) -> tuple[int, int]:
        """The factor and the divisor that turn a stream's ticks into microseconds."""
        scale = self._scales.get(packet.stream_index)
        if scale is None:  # once for each stream: a Fraction takes longer than all else here
            numerator, denominator = packet.time_base.as_integer_ratio()
            scale = self._scales[packet.stream_index] = 1_000_000 * numerator, denominator
        return scale

    def _read(self) -> Iterator[Packet[Any]]:
        in_a_row = looks_ahead = 0
        while self.errors < self._most_errors and in_a_row < _MOST_ERRORS_IN_A_ROW:
            try:
                for packet in self._container.demux(*self.streams):
                    in_a_row = looks_ahead = 0
                    if packet.size or packet.pts is not None:  # empty packets flush the decoder
                        yield packet
            except av.BlockingIOError:
                self.errors += looks_ahead == 0
                looks_ahead += 1
                if looks_ahead >= _MOST_LOOKS_AHEAD:
                    return
            except av.FFmpegError:  # also ENOMEM: the file stated an absurd size
                self.errors += 1
                in_a_row += 1
            except IndexError:  # PyAV at the end of a file that grew a stream midway
                return
            else:
                return


def _doubt(packet: Packet[Any], clock: DoubtedClock, scale: tuple[int, int]) -> None:
    """Remove absurd timestamps."""
    if packet.dts is None:
        return
    factor, divisor = scale
    stream = packet.stream_index
    if packet.pts is not None and clock.is_absurd(stream, packet.pts * factor // divisor):
        packet.pts = None
    dts_us = packet.dts * factor // divisor
    is_absurd = clock.is_absurd(stream, dts_us)
    if is_absurd:
        packet.dts = None
    duration_us = (packet.duration or 0) * factor // divisor
    clock.advance(stream, None if is_absurd else dts_us, duration_us)


def _correct(packet: Packet[Any], clock: JoinedClock, scale: tuple[int, int]) -> None:
    factor, divisor = scale
    offset_us = clock.offset_us
    if packet.dts is not None:
        dts_us = packet.dts * factor // divisor
        offset_us = clock.correct(
            packet.stream_index, dts_us, (packet.duration or 0) * factor // divisor
        )
    if offset_us:
        ticks = round(offset_us * divisor / factor)
        if packet.dts is not None:
            packet.dts += ticks
        if packet.pts is not None:
            packet.pts += ticks
