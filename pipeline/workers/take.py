"""One pass over one file: sampled pictures, an Ogg, and what was lost (worker process)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pipeline.errors import FailureCode, MediaError
from pipeline.workers.audio import AudioTrack
from pipeline.workers.damage import Sent
from pipeline.workers.decode import FullSampler, PlannedSampler, Sampler, Timing, can_plan
from pipeline.workers.media import (
    choose_audio,
    choose_video,
    has_no_timestamps,
    nominal_rate,
    open_media,
    source_seconds,
    start_ticks,
)
from pipeline.workers.packets import PacketReader
from pipeline.workers.picture import PictureMaker
from pipeline.workers.reel import Reel
from pipeline.workers.sampling import FpsFilter, PacketPlanner, PlanBroken
from pipeline.workers.witness import Witness, promised_end_s

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from pipeline.messages import Clip, Damage, MediaSpec

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


def take_clip(clip: Clip, spec: MediaSpec, audio_path: Path) -> Take:
    """Read the window of a clip: its pictures into memory, its sound into a file.

    Raises:
        MediaError: the file cannot be read, or gives no picture.
    """
    try:
        return _take(clip, spec, audio_path, planned=True)
    except PlanBroken:
        return _take(clip, spec, audio_path, planned=False)


def _take(clip: Clip, spec: MediaSpec, audio_path: Path, *, planned: bool) -> Take:
    with open_media(clip.source, spec.max_pixels) as container, ExitStack() as cleanup:
        stream = choose_video(container, spec.max_pixels)
        reel = Reel(PictureMaker(stream, spec.height_px))
        slots = round(clip.end_s * spec.fps)
        fps_filter = FpsFilter(Fraction(stream.time_base or 1) * spec.fps, slots)
        sampler = _sampler(container, stream, fps_filter, reel, planned=planned)
        track = _track(container, clip, spec, audio_path)
        if track:
            cleanup.enter_context(track)
        errand = _Pass(container, stream, sampler, track, clip.end_s)
        errand.run()
        sampler.finish()
        _complete(reel, sampler, fps_filter, stream)
        if track:
            track.finish()
            errand.watch.unheard(track.decode_errors)
        expected = errand.expected_slots(spec.fps, slots)
        return Take(
            reel,
            track.seconds if track else 0.0,
            errand.errors + sampler.decode_errors + (track.decode_errors if track else 0),
            errand.watch.sum_up(Sent(reel.times_s, reel.corrupt, spec.fps, expected)),
            errand.is_cut_off,
            stream.codec_context.name,
            stream.codec_context.width,
            stream.codec_context.height,
            source_seconds(container, stream),
        )


def _sampler(
    container: InputContainer,
    stream: VideoStream,
    fps_filter: FpsFilter,
    reel: Reel,
    *,
    planned: bool,
) -> Sampler:
    time_base = Fraction(stream.time_base or 1)
    rate = nominal_rate(stream)
    timing = Timing(
        zero=start_ticks(container, time_base),
        by_rate=round(1 / (rate * time_base)) if rate else 0,
        unreliable=has_no_timestamps(container),
    )
    if planned and can_plan(stream):
        return PlannedSampler(stream, PacketPlanner(fps_filter), reel.add, timing)
    return FullSampler(stream, fps_filter, reel.add, timing)


def _track(container: InputContainer, clip: Clip, spec: MediaSpec, path: Path) -> AudioTrack | None:
    stream = choose_audio(container)
    if stream is None:
        return None
    zero = start_ticks(container, Fraction(stream.time_base or 1))
    return AudioTrack(path, stream, zero=zero, seconds=clip.end_s, bitrate=spec.audio_bitrate)


class _Pass:
    """Hands the packets round until nothing more is wanted, under the eyes of the watch."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        sampler: Sampler,
        track: AudioTrack | None,
        end_s: float,
    ) -> None:
        self._container, self._stream = container, stream
        self._sampler, self._track = sampler, track
        self._end_s = end_s
        self._met_end = False
        self._reader = PacketReader(container, [stream, *([track.stream] if track else [])])
        self._witness = Witness(container, stream, track.stream if track else None)
        self.watch = self._witness.watch

    @property
    def errors(self) -> int:
        """How often the container gave an error."""
        return self._reader.errors

    def run(self) -> None:
        """Read the file as far as anything is wanted.

        Raises:
            PlanBroken: the sampler cannot go on by its plan.
        """
        video, sampler, track = self._stream.index, self._sampler, self._track
        for packet in self._reader:
            if packet.stream_index == video:
                if not sampler.is_complete:
                    self._show(packet)
                elif self._witness.time_s(packet) > self._end_s + _INTERLEAVING_S:
                    return
            elif track and not track.is_complete:
                self._witness.audio(packet)
                track.push(packet)
            if sampler.is_complete and (track is None or track.is_complete):
                return
        self._met_end = True

    def _show(self, packet: Packet[Any]) -> None:
        sampler = self._sampler
        self._witness.video(packet)
        errors = sampler.decode_errors
        sampler.push(packet)
        if sampler.decode_errors > errors:
            self._witness.undecodable(packet)
        if sampler.decode_errors > _MOST_DECODE_ERRORS:
            raise MediaError(FailureCode.UNDECODABLE, "hardly a packet can be decoded")

    @property
    def is_cut_off(self) -> bool:
        """Whether the file ended before the time that it promises."""
        promised_s = promised_end_s(self._container, self._stream)
        return self._met_end and self.watch.reached_s < promised_s - _SLACK_S

    def expected_slots(self, fps: int, most: int) -> int:
        """How many slots of the window would have a frame if nothing were lost; 0 if nothing is."""
        end_s = promised_end_s(self._container, self._stream) if self.is_cut_off else 0.0
        if self.watch.packets_lost:
            end_s = max(end_s, self.watch.video_end_s)
        return min(int(end_s * fps + 0.5), most)


def _complete(reel: Reel, sampler: Sampler, fps_filter: FpsFilter, stream: VideoStream) -> None:
    """Fill the reel of a clip that starts late or is too short to fill a slot.

    Raises:
        PlanBroken: the plan gave no frame.
        MediaError: not one frame could be decoded.
    """
    if not reel.pictures:
        if not isinstance(sampler, FullSampler):
            raise PlanBroken
        if sampler.last_frame is None:
            raise _nothing(sampler, stream)
        reel.add_padding(*sampler.last_frame)
    elif fps_filter.first_slot:
        reel.hold_first(max(0, fps_filter.first_slot))


def _nothing(sampler: Sampler, stream: VideoStream) -> MediaError:
    if sampler.decode_errors:
        return MediaError(FailureCode.UNDECODABLE, "no frame could be decoded")
    if stream.frames or (stream.duration or 0) > 0:
        return MediaError(FailureCode.CUT_OFF, "the file ends before the frames that it announces")
    return MediaError(FailureCode.NO_FRAMES, "the video stream holds no frame")
