"""One pass over one file: sampled pictures, an Ogg, and what was lost (worker process)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.damage.damage import Sent
from captionfleet.media.damage.witness import Witness, promised_end_s
from captionfleet.media.opening.container import (
    choose_video,
    ends_whole,
    has_no_timestamps,
    nominal_rate,
    open_media,
    source_seconds,
    start_ticks,
)
from captionfleet.media.opening.heard import heard_audio
from captionfleet.media.opening.packets import PacketReader
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

# How far apart in a file pictures and sound of the same moment may lie.
_INTERLEAVING_S = 10.0
# What a file promises beyond its last packet before it counts as cut off.
_SLACK_S = 0.5
# More packets than the longest window holds: a file of nothing but errors takes no longer.
_MOST_DECODE_ERRORS = 50_000


@dataclass(frozen=True, slots=True)
class Take:
    """What one pass over the file gave."""

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
    """Read the window of a clip: its pictures into memory, its sound to the writers, if any.

    Raises:
        MediaError: the file cannot be read, or gives no picture.
    """
    with open_media(clip.source, spec.max_pixels) as container, ExitStack() as cleanup:
        stream = choose_video(container, spec.max_pixels)
        reel = Reel(PictureMaker(stream, spec.height_px))
        slots = round(clip.end_s * spec.fps)
        fps_filter = FpsFilter(Fraction(stream.time_base or 1) * spec.fps, slots)
        track = _track(container, stream, clip, spec, sounds)
        if track:
            cleanup.enter_context(track)
        errand = _Pass(container, stream, track, clip.end_s)
        sampler = make_sampler(
            stream,
            fps_filter,
            Outputs(reel.add, errand.undecodable),
            _timing(container, stream),
            replay=_replay(clip, spec, reel, cleanup),
            fast=spec.sampling == "fast",
        )
        errand.run(sampler)
        sampler.finish()
        _complete(reel, sampler, errand, stream)
        if track:
            track.finish()
            errand.watch.unheard(track.decode_errors)
        expected = errand.expected_slots(spec.fps, slots)
        return Take(
            reel,
            track.seconds if track else 0.0,
            errand.errors + (track.decode_errors if track else 0),
            errand.watch.sum_up(Sent(reel.times_s, reel.corrupt, spec.fps, expected)),
            errand.is_cut_off,
            stream.codec_context.name,
            stream.codec_context.width,
            stream.codec_context.height,
            source_seconds(container, stream),
        )


def _timing(container: InputContainer, stream: VideoStream) -> Timing:
    time_base = Fraction(stream.time_base or 1)
    rate = nominal_rate(stream)
    return Timing(
        zero=start_ticks(container, time_base),
        by_rate=round(1 / (rate * time_base)) if rate else 0,
        unreliable=has_no_timestamps(container),
    )


def _replay(clip: Clip, spec: MediaSpec, reel: Reel, cleanup: ExitStack) -> Replay:
    """How to read the file once more, should the plan for it break."""

    def reopen() -> tuple[VideoStream, Iterator[Packet[VideoStream]]]:
        container = cleanup.enter_context(open_media(clip.source, spec.max_pixels))
        stream = choose_video(container, spec.max_pixels)
        reel.follow(stream)
        # The common clock depends on the times of the sound, too.
        audio = heard_audio(clip.source, container, stream, spec.max_pixels)
        reader = PacketReader(container, [stream, *([audio] if audio else [])])
        return stream, (packet for packet in reader if packet.stream_index == stream.index)

    return reopen


def _track(
    container: InputContainer,
    beside: VideoStream,
    clip: Clip,
    spec: MediaSpec,
    sounds: Sequence[SoundWriter],
) -> AudioTrack | None:
    stream = heard_audio(clip.source, container, beside, spec.max_pixels) if sounds else None
    if stream is None:
        return None
    zero = start_ticks(container, Fraction(stream.time_base or 1))
    return AudioTrack(sounds, stream, zero=zero, seconds=clip.end_s)


class _Pass:
    """Hands the packets round until nothing more is wanted, under the eyes of the watch."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        track: AudioTrack | None,
        end_s: float,
    ) -> None:
        self._container, self._stream, self._track = container, stream, track
        self._end_s = end_s
        self._met_end = False
        self._reader = PacketReader(container, [stream, *([track.stream] if track else [])])
        self._witness = Witness(container, stream, track.stream if track else None)
        self.watch = self._witness.watch
        self.decode_errors = 0

    @property
    def errors(self) -> int:
        """How often the container or the video decoder gave an error."""
        return self._reader.errors + self.decode_errors

    def run(self, sampler: Sampler) -> None:
        """Read the file as far as anything is wanted."""
        video, track = self._stream.index, self._track
        for packet in self._reader:
            self._witness.place(packet)
            if packet.stream_index == video:
                if not sampler.is_complete:
                    self._witness.video(packet)
                    sampler.push(packet)
                elif self._witness.time_s(packet) > self._end_s + _INTERLEAVING_S:
                    return
            elif track and not track.is_complete:
                self._witness.audio(packet)
                track.push(packet)
            if sampler.is_complete and (track is None or track.is_complete):
                return
        self._met_end = True

    def undecodable(self, packet: Packet[VideoStream] | None) -> None:
        """Take note of a video packet that gave an error."""
        self.decode_errors += 1
        if packet is not None:
            self._witness.undecodable(packet)
        if self.decode_errors > _MOST_DECODE_ERRORS:
            raise MediaError(FailureCode.UNDECODABLE, "hardly a packet can be decoded")

    @property
    def is_cut_off(self) -> bool:
        """Whether the file ended before the time that it promises, and not where it says.

        A time alone is no promise: edit lists, other streams and recorders make it longer.
        """
        promised_s = promised_end_s(self._container, self._stream)
        is_short = self._met_end and self.watch.reached_s < promised_s - _SLACK_S
        return is_short and not (ends_whole(self._container) and self._witness.saw_the_end)

    def expected_slots(self, fps: int, most: int) -> int:
        """How many slots of the window would have a frame if nothing were lost; 0 if nothing is."""
        end_s = promised_end_s(self._container, self._stream) if self.is_cut_off else 0.0
        if self.watch.packets_lost:
            end_s = max(end_s, self.watch.video_end_s)
        return min(int(end_s * fps + 0.5), most)


def _complete(reel: Reel, sampler: Sampler, errand: _Pass, stream: VideoStream) -> None:
    """Fill the reel of a clip that starts late or is too short to fill a slot.

    Raises:
        MediaError: not one frame could be decoded.
    """
    if not reel.pictures:
        if sampler.last_frame is None:
            raise _nothing(errand, stream)
        reel.add_padding(*sampler.last_frame)
    elif sampler.first_slot:
        reel.hold_first(max(0, sampler.first_slot))


def _nothing(errand: _Pass, stream: VideoStream) -> MediaError:
    if errand.decode_errors:
        return MediaError(FailureCode.UNDECODABLE, "no frame could be decoded")
    if stream.frames or (stream.duration or 0) > 0:
        return MediaError(FailureCode.CUT_OFF, "the file ends before the frames that it announces")
    return MediaError(FailureCode.NO_FRAMES, "the video stream holds no frame")
