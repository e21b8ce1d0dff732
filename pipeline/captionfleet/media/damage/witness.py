"""Passes the time and place of each packet to the damage watch (worker process)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from captionfleet.media.damage.damage import DamageWatch
from captionfleet.media.opening.container import (
    reading_at,
    start_ticks,
)
from captionfleet.media.opening.lengths import source_seconds, tagged_seconds
from captionfleet.media.opening.stretch import has_framing, is_unbroken

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

__all__ = ["Witness", "promised_end_s"]

_MORE_THAN_HEADERS = 1 << 16  # bytes; headers between packets take less
_BETWEEN_BYTES = 256  # headers of blocks and clusters, and the small additions of blocks
_PADDING_BYTES = 4096  # AVI writers align chunks to sectors and pages
_MOST_INDEX_SHARE = 0.1  # of a file: its cues, tags and attachments
_USUAL_RATE, _HIGHEST_RATE = 25, 240
# Containers whose packets follow one another in the file almost without a gap.
_GAPLESS = frozenset({"matroska,webm", "flv", "nut"})
# Containers that store their length. For all others libav estimates it.
_PROMISES = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "avi", "matroska,webm", "flv"})


class Witness:
    """Converts the times of packets to seconds from zero, and tracks their places in the file."""

    def __init__(
        self, container: InputContainer, video: VideoStream, audio: AudioStream | None
    ) -> None:
        rate = video.average_rate or _USUAL_RATE
        self.watch = DamageWatch(1 / min(float(rate), _HIGHEST_RATE))
        streams = [video] if audio is None else [video, audio]
        self._times = {s.index: _Time(container, s) for s in streams}
        is_gapless_file = container.format.name in _GAPLESS
        is_all = len(container.streams) == len(streams)
        self._counts_frames = container.format.name == "avi"
        self._sees_places = is_gapless_file or self._counts_frames
        self._largest_hole_bytes = 0
        self._sees_holes = is_gapless_file and is_all
        # Where missing bytes are visible, a gap that picture and sound share is a pause.
        self.watch.pauses_are_known = is_gapless_file
        if has_framing(container.format.name):
            self.watch.is_pause = self._is_unbroken
        self._format_name, self._read_at = container.format.name, reading_at(container)
        self._begins: dict[int, int] = {}  # where each stream's newest packet begins
        self._step = -1, -1  # where that packet and the one before it in its stream begin
        self._end_byte = 0
        self._size_bytes = container.size
        # Theora has a fixed rate and a packet, even if empty, for every frame. In an Ogg file,
        # whose demuxer skips damage silently, each gap is therefore a loss.
        is_ogg = container.format.name == "ogg"
        self._has_every_frame = is_ogg and video.codec_context.name == "theora"

    def time_s(self, packet: Packet[Any]) -> float:
        """The packet's DTS, or its PTS if that is missing, in seconds."""
        at = packet.dts if packet.dts is not None else packet.pts
        return self._times[packet.stream_index].seconds(at)

    def video(self, packet: Packet[Any]) -> None:
        """Take a video packet before it is decoded."""
        if self._has_every_frame:
            self.watch.hole(_MORE_THAN_HEADERS)
        time = self._times[packet.stream_index]
        self.watch.video(
            time.seconds(packet.dts if packet.pts is None else packet.pts),
            (packet.duration or 0) * time.tick_s,
            is_key=packet.is_keyframe,
            is_corrupt=packet.is_corrupt,
        )

    def audio(self, packet: Packet[Any]) -> None:
        """Take an audio packet."""
        duration = packet.duration or 0
        self.watch.audio(self.time_s(packet), duration * self._times[packet.stream_index].tick_s)

    def undecodable(self, packet: Packet[Any]) -> None:
        """A video packet gave an error."""
        at = packet.pts if packet.pts is not None else packet.dts
        self.watch.undecodable(self._times[packet.stream_index].seconds(at))

    @property
    def saw_the_end(self) -> bool:
        """Whether the packets account for the file's bytes, except for an index.

        AVI stores no times, only a frame count, so a hole there shortens the film.
        """
        if self._counts_frames and self._largest_hole_bytes > _PADDING_BYTES:
            return False
        tail_bytes = self._size_bytes - self._end_byte
        most_bytes = max(_MORE_THAN_HEADERS, self._size_bytes * _MOST_INDEX_SHARE)
        return not self._sees_places or tail_bytes <= most_bytes

    def place(self, packet: Packet[Any]) -> None:
        """Record the place of a packet of any stream, before the packet itself is taken."""
        begin = packet.pos
        # A packet that begins in the same unit as the one before has no place of its own.
        known, now = self._begins.get(packet.stream_index, -1), -1 if begin is None else begin
        self._step = known, now
        self._begins[packet.stream_index] = max(known, now)
        if not self._sees_places or begin is None or begin < 0:
            return
        between_bytes = begin - self._end_byte
        if self._end_byte and between_bytes > _BETWEEN_BYTES:
            self._largest_hole_bytes = max(self._largest_hole_bytes, between_bytes)
            if not self._counts_frames:
                self.watch.hole(between_bytes, is_proof=self._sees_holes)
        self._end_byte = max(self._end_byte, begin + packet.size)

    def _is_unbroken(self) -> bool:
        return is_unbroken(self._format_name, self._read_at, *self._step)


class _Time:
    """Converts one stream's timestamps to seconds."""

    def __init__(self, container: InputContainer, stream: Stream) -> None:
        time_base = Fraction(stream.time_base or 1)
        self.tick_s = float(time_base)
        self._zero = start_ticks(container, time_base)
        self._last = self._zero

    def seconds(self, ticks: int | None) -> float:
        """Seconds from zero; for a missing timestamp, those of the last known one."""
        if ticks is not None:
            self._last = ticks
        return (self._last - self._zero) * self.tick_s


def promised_end_s(container: InputContainer, stream: VideoStream) -> float:
    """When the video ends according to the file, or all of it if it says no more; else 0.0."""
    if container.format.name not in _PROMISES:
        return 0.0
    time = _Time(container, stream)
    if stream.duration is None:
        return tagged_seconds(container, stream) or source_seconds(container, stream)
    begin_s = time.seconds(stream.start_time)
    frames_s = stream.frames / float(stream.average_rate) if stream.average_rate else 0.0
    return begin_s + max(stream.duration * time.tick_s, frames_s)
