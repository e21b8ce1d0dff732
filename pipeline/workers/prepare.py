"""One pass over one file: sampled frames to an MP4, sound to an Ogg (worker process)."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from pipeline.errors import FailureCode, MediaError
from pipeline.messages import Clip, MediaFacts, MediaSpec
from pipeline.workers.audio import AudioTrack
from pipeline.workers.decode import FullSampler, PlannedSampler, Sampler, Timing, can_plan
from pipeline.workers.encode import write_mp4
from pipeline.workers.media import (
    choose_audio,
    choose_video,
    has_no_timestamps,
    nominal_rate,
    open_media,
    source_seconds,
    start_ticks,
)
from pipeline.workers.picture import PictureMaker
from pipeline.workers.reel import Reel
from pipeline.workers.sampling import FpsFilter, PacketPlanner, PlanBroken
from pipeline.workers.store import MediaStore, StoredMedia, media_key, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["prepare_clip"]


def prepare_clip(clip: Clip, spec: MediaSpec, store: MediaStore) -> StoredMedia:
    """Make the media of one clip, or find them as made before.

    Raises:
        MediaError: the clip cannot be captioned; its code says why.
        StoreError: the store cannot be written.
    """
    key = media_key(clip, spec)
    found = store.find(key)
    if found is not None:
        return found
    with store.drafts() as (video, audio):
        facts = _make(clip, spec, video, audio)
        _require_unchanged(clip)
        return store.keep(key, video, audio if facts.has_audio else None, facts)


def _require_unchanged(clip: Clip) -> None:
    try:
        now = os.stat(clip.source.path)  # noqa: PTH116 - the path may hold undecodable bytes
    except OSError:
        raise MediaError(FailureCode.SOURCE_CHANGED, "the file vanished") from None
    if (now.st_size, now.st_mtime_ns) != (clip.source.size_bytes, clip.source.mtime_ns):
        raise MediaError(FailureCode.SOURCE_CHANGED, "the file changed since it was found")


def _make(clip: Clip, spec: MediaSpec, video: Path, audio: Path) -> MediaFacts:
    try:
        take = _pass(clip, spec, audio, planned=True)
    except PlanBroken:
        take = _pass(clip, spec, audio, planned=False)
    take.reel.pad()
    write_mp4(video, take.reel.pictures, spec, spec.crf)
    facts = _facts(take, spec, video, audio)
    if facts.payload_bytes >= spec.max_payload_bytes:
        raise MediaError(
            FailureCode.PAYLOAD_TOO_LARGE,
            f"{facts.payload_bytes} bytes of base64, {spec.max_payload_bytes} are too many",
        )
    return facts


@dataclass(frozen=True, slots=True)
class _Take:
    """What one pass over the file gave."""

    reel: Reel
    audio_s: float
    decode_errors: int
    source_codec: str
    source_width: int
    source_height: int
    source_s: float


def _pass(clip: Clip, spec: MediaSpec, audio_path: Path, *, planned: bool) -> _Take:
    with open_media(clip.source.path, spec.max_pixels) as container, ExitStack() as cleanup:
        stream = choose_video(container)
        reel = Reel(PictureMaker(_sample_aspect(stream), spec.height_px))
        slots_per_tick = Fraction(stream.time_base or 1) * spec.fps
        fps_filter = FpsFilter(slots_per_tick, round(clip.end_s * spec.fps))
        sampler = _sampler(container, stream, fps_filter, reel, planned=planned)
        track = _track(container, clip, spec, audio_path)
        if track:
            cleanup.enter_context(track)
        errors = _run(container, stream, sampler, track)
        sampler.finish()
        _complete(reel, sampler, fps_filter)
        if track:
            track.finish()
        return _Take(
            reel,
            track.seconds if track else 0.0,
            errors + sampler.decode_errors + (track.decode_errors if track else 0),
            stream.codec_context.name,
            stream.codec_context.width,
            stream.codec_context.height,
            source_seconds(container, stream),
        )


def _sample_aspect(stream: VideoStream) -> Fraction | None:
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect else None


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


def _run(
    container: InputContainer, stream: VideoStream, sampler: Sampler, track: AudioTrack | None
) -> int:
    """Hand packets round until nothing more is wanted; return the errors of the container."""
    streams: list[VideoStream | AudioStream] = [stream]
    if track:
        streams.append(track.stream)
    for packet in _packets(container, streams):
        if packet is None:
            return 1
        if packet.stream_index == stream.index:
            if not sampler.is_complete:
                sampler.push(packet)
        elif track and not track.is_complete:
            track.push(packet)
        if sampler.is_complete and (track is None or track.is_complete):
            break
    return 0


def _packets(
    container: InputContainer, streams: list[VideoStream | AudioStream]
) -> Iterator[Packet[Any] | None]:
    """The packets in file order; None in the place of an error that ends the file."""
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            yield None
            return
        if packet is None:
            return
        if packet.size or packet.pts is not None:  # the flushing packets at the end are empty
            yield packet


def _complete(reel: Reel, sampler: Sampler, fps_filter: FpsFilter) -> None:
    """Fill the reel of a clip that starts late or is too short to fill a slot.

    Raises:
        PlanBroken: the plan gave no frame.
        MediaError: not one frame could be decoded.
    """
    if not reel.pictures:
        if not isinstance(sampler, FullSampler):
            raise PlanBroken
        if sampler.last_frame is None:
            code = FailureCode.UNDECODABLE if sampler.decode_errors else FailureCode.NO_FRAMES
            raise MediaError(code, "no frame could be decoded")
        reel.add_padding(*sampler.last_frame)
    elif fps_filter.first_slot:
        reel.hold_first(max(0, fps_filter.first_slot))


def _facts(take: _Take, spec: MediaSpec, video: Path, audio: Path) -> MediaFacts:
    video_bytes = video.stat().st_size
    audio_bytes = audio.stat().st_size if take.audio_s else 0
    reel = take.reel
    return MediaFacts(
        frames=len(reel.pictures),
        width=reel.pictures[0].width,
        height=reel.pictures[0].height,
        has_audio=take.audio_s > 0,
        audio_s=round(take.audio_s, 3),
        sampling=spec.sampling,
        video_bytes=video_bytes,
        audio_bytes=audio_bytes,
        payload_bytes=sum(4 * -(-size // 3) for size in (video_bytes, audio_bytes)),
        video_sha256=sha256_of(video),
        audio_sha256=sha256_of(audio) if take.audio_s else None,
        source_codec=take.source_codec,
        source_width=take.source_width,
        source_height=take.source_height,
        source_s=round(take.source_s, 3),
        padded_frames=len(reel.pictures) - reel.sampled,
        rotation_deg=reel.rotation_deg,
        frame_times_s=tuple(round(time_s, 6) for time_s in reel.times_s),
        decode_errors=take.decode_errors,
    )
