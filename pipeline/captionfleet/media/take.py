"""Reads one clip in a single pass: samples pictures, writes sound, counts losses (worker)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.damage.damage import Sent
from captionfleet.media.damage.witness import Witness, promised_end_s
from captionfleet.media.opening.approach import (
    INTERLEAVING_S,
    SOUND_BEFORE_S,
    Opened,
    open_window,
)
from captionfleet.media.opening.container import (
    ends_whole,
    has_no_timestamps,
    nominal_rate,
    start_ticks,
    ticks_of,
)
from captionfleet.media.opening.lengths import source_seconds
from captionfleet.media.picture.picture import PictureMaker
from captionfleet.media.picture.reel import Reel
from captionfleet.media.sampling.fps_filter import FpsFilter
from captionfleet.media.sampling.full import Outputs, Sampler, Timing
from captionfleet.media.sampling.planned import Replay, make_sampler
from captionfleet.media.sound.audio import AudioTrack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from captionfleet.media.sound.writer import SoundWriter
    from captionfleet.messages import Clip, Damage, MediaSpec

__all__ = ["Take", "take_clip"]

# A file counts as cut off if its stated end is this far beyond its last packet.
_SLACK_S = 0.5
# More packets than the longest window holds: limits the time for a file that only gives errors.
_MOST_DECODE_ERRORS = 50_000


@dataclass(frozen=True, slots=True)
class Take:
    """The result of one pass over the file."""

    reel: Reel
    audio_s: float
    decode_errors: int
    damage: Damage
    is_cut_off: bool
    source_codec: str
    source_width: int
    source_height: int
    source_s: float


def take_clip(clip: Clip, spec: MediaSpec, sounds: Sequence[SoundWriter]) -> Take:
    """Read a clip's window: its pictures into memory, its sound to the writers, if any.

    Raises:
        MediaError: the file cannot be read, or has no picture.
    """
    with open_window(clip, spec.max_pixels) as opened, ExitStack() as cleanup:
        container, stream = opened.container, opened.video
        reel = Reel(PictureMaker(stream, spec.height_px), clip.start_s)
        slots = max(1, round((clip.end_s - clip.start_s) * spec.fps))
        slots_per_tick = Fraction(stream.time_base or 1) * spec.fps
        fps_filter = FpsFilter(slots_per_tick, slots, is_trimmed=clip.start_s > 0)
        track = _track(opened, clip, sounds)
        if track:
            cleanup.enter_context(track)
        reading = _Pass(opened, track, clip)
        sampler = make_sampler(
            stream,
            fps_filter,
            Outputs(reel.add, reading.undecodable),
            _timing(container, stream, clip.start_s),
            replay=_replay(clip, spec, reel, cleanup),
            fast=spec.sampling == "fast",
        )
        reading.run(sampler)
        sampler.finish()
        _complete(reel, sampler, reading, clip, slots)
        if track:
            track.finish()
            reading.watch.unheard(track.decode_errors)
        expected = reading.expected_slots(spec.fps, slots)
        return Take(
            reel,
            track.seconds if track else 0.0,
            reading.errors + (track.decode_errors if track else 0),
            reading.watch.sum_up(
                Sent(reel.times_s, reel.corrupt, spec.fps, expected, begin_s=clip.start_s)
            ),
            reading.is_cut_off,
            stream.codec_context.name,
            stream.codec_context.width,
            stream.codec_context.height,
            source_seconds(container, stream),
        )


def _timing(container: InputContainer, stream: VideoStream, start_s: float = 0.0) -> Timing:
    time_base = Fraction(stream.time_base or 1)
    rate = nominal_rate(stream)
    begin = ticks_of(start_s, time_base)
    return Timing(
        zero=start_ticks(container, time_base) + begin,
        by_rate=round(1 / (rate * time_base)) if rate else 0,
        unreliable=has_no_timestamps(container),
        begin=begin,
    )


def _replay(clip: Clip, spec: MediaSpec, reel: Reel, cleanup: ExitStack) -> Replay:
    """How to read the file again, if its decoding plan breaks."""

    def reopen() -> tuple[VideoStream, Iterator[Packet[VideoStream]]]:
        # Sound is read as well: the common clock depends on its times.
        opened = cleanup.enter_context(open_window(clip, spec.max_pixels))
        stream = opened.video
        reel.follow(stream)
        return stream, (packet for packet in opened.held if packet.stream_index == stream.index)

    return reopen


def _track(opened: Opened, clip: Clip, sounds: Sequence[SoundWriter]) -> AudioTrack | None:
    stream = opened.audio if sounds else None
    if stream is None:
        return None
    return AudioTrack(
        sounds,
        stream,
        zero=start_ticks(opened.container, Fraction(stream.time_base or 1)),
        begin_s=clip.start_s,
        seconds=clip.end_s - clip.start_s,
    )


class _Pass:
    """Distributes packets to the sampler and the sound until nothing more is wanted."""

    def __init__(self, opened: Opened, track: AudioTrack | None, clip: Clip) -> None:
        self._container, self._stream, self._track = opened.container, opened.video, track
        self._start_s, self._end_s = clip.start_s, clip.end_s
        self._met_end = False
        self._reader, self._packets = opened.packets, opened.held
        self._witness = Witness(opened.container, opened.video, opened.audio)
        self.watch = self._witness.watch
        self.decode_errors = 0

    @property
    def errors(self) -> int:
        """How many errors the container and the video decoder gave."""
        return self._reader.errors + self.decode_errors

    def run(self, sampler: Sampler) -> None:
        """Read the file as far as it is needed."""
        video, track = self._stream.index, self._track
        for packet in self._packets:
            self._witness.place(packet)
            if packet.stream_index == video:
                if not sampler.is_complete:
                    self._witness.video(packet)
                    sampler.push(packet)
                elif self._witness.time_s(packet) > self._end_s + INTERLEAVING_S:
                    return
            elif track and not track.is_complete and self._is_heard(packet):
                self._witness.audio(packet)
                track.push(packet)
            if sampler.is_complete and (track is None or track.is_complete):
                return
        self._met_end = True

    def _is_heard(self, packet: Packet[Any]) -> bool:
        return self._witness.time_s(packet) >= self._start_s - SOUND_BEFORE_S or not self._start_s

    def undecodable(self, packet: Packet[VideoStream] | None) -> None:
        """Record a video packet that gave an error."""
        self.decode_errors += 1
        if packet is not None:
            self._witness.undecodable(packet)
        if self.decode_errors > _MOST_DECODE_ERRORS:
            raise MediaError(FailureCode.UNDECODABLE, "hardly a packet can be decoded")

    @property
    def is_cut_off(self) -> bool:
        """Whether the file ended before its stated time, and is not whole by its framing.

        A stated time proves nothing alone: edit lists, other streams and recorders make it longer.
        """
        promised_s = promised_end_s(self._container, self._stream)
        is_short = self._met_end and self.watch.reached_s < promised_s - _SLACK_S
        return is_short and not (ends_whole(self._container) and self._witness.saw_the_end)

    def nothing(self) -> MediaError:
        """The failure that explains why there is no frame at all."""
        stream = self._stream
        if self.decode_errors:
            return MediaError(FailureCode.UNDECODABLE, "no frame could be decoded")
        if stream.frames or (stream.duration or 0) > 0:
            detail = "the file ends before the frames that it announces"
            return MediaError(FailureCode.CUT_OFF, detail)
        return MediaError(FailureCode.NO_FRAMES, "the video stream holds no frame")

    def expected_slots(self, fps: int, most: int) -> int:
        """How many slots of the window would have a frame without losses; 0 if there are none."""
        end_s = promised_end_s(self._container, self._stream) if self.is_cut_off else 0.0
        if self.watch.packets_lost:
            end_s = max(end_s, self.watch.video_end_s)
        return max(0, min(int((end_s - self._start_s) * fps + 0.5), most))


def _complete(reel: Reel, sampler: Sampler, reading: _Pass, clip: Clip, slots: int) -> None:
    """Fill the reel of a clip that starts late or is too short to fill a slot.

    Raises:
        MediaError: no frame could be decoded, or a later window shows none.
    """
    if not reel.pictures:
        if (sampler.first_slot or 0) >= slots:
            raise MediaError(FailureCode.NO_FRAMES, "the pictures begin after this window")
        if sampler.last_frame is None:
            raise reading.nothing()
        if clip.start_s > 0:
            raise MediaError(FailureCode.NO_FRAMES, "the film ends before this window")
        reel.add_padding(*sampler.last_frame)
    elif sampler.first_slot:
        reel.hold_first(max(0, sampler.first_slot))
