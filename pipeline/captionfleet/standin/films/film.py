"""Encodes generated films of any codec and container (any process).

Every frame shows its number as a barcode, so that a test knows which frames of a film arrived.
"""

import heapq
import itertools
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from captionfleet.standin.films import sounds
from captionfleet.standin.films.pictures import Look, draw, pack, read_barcode, turn

__all__ = ["Film", "Look", "Sound", "frame_times_s", "read_barcode", "write_film"]

# Quoted: PyAV's Packet is generic to a type checker only.
Packets: TypeAlias = "Iterator[Packet[Any]]"

VFR_TIME_BASE = Fraction(1, 90_000)
NO_SECOND_KEY_FRAME = 100_000  # frames

# The cheapest settings of each encoder, with its output on stderr turned off where possible.
QUICK: Mapping[str, Mapping[str, str]] = {
    "libx264": {"preset": "ultrafast", "crf": "23"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "11"},
    "mpeg2video": {"qmin": "2", "qmax": "8"},
    "mpeg4": {"qmin": "2", "qmax": "8"},
    "aac": {"aac_coder": "fast"},
    "libopus": {"compression_level": "0"},
}


@dataclass(frozen=True, slots=True)
class Sound:
    """One audio track.

    `seconds` is its length: None until the film ends, 0 for a track without packets. `start_s` is
    on the film's own clock, as the film's `start_s` is.
    """

    kind: sounds.Kind = "speech"
    sample_rate_hz: int = 48_000
    layout: str = "stereo"
    codec: str = "aac"
    bit_rate: int = 64_000
    start_s: float = 0.0
    seconds: float | None = None
    default: bool = True


@dataclass(frozen=True, slots=True)
class Film:
    """The film to write. Codecs and options are libav's names of encoders.

    `width_px` and `height_px` are the size as shown: a film with a rotation is stored turned, with
    the display matrix that turns it back. `rotation_deg` is counter-clockwise, as PyAV reports it
    for a frame; `mirrored` is undone by the player after it has turned the picture.

    With `codec` None the film has no pictures. `context_settings` are set on the encoder's context,
    for example colour tags. An infinite `gop_s` gives one key frame, at the start.
    `frame_durations_s` makes a variable frame rate: the frames take these durations in turn.
    `start_s` delays the pictures, rounded to a frame; if negative, they start before zero.
    """

    seconds: float = 6.0
    width_px: int = 640
    height_px: int = 360
    fps: Fraction = Fraction(30)
    codec: str | None = "libx264"
    pix_fmt: str = "yuv420p"
    gop_s: float = 2.0
    b_frames: int = 0
    codec_options: Mapping[str, str] = field(default_factory=dict)
    container_options: Mapping[str, str] = field(default_factory=dict)
    context_settings: Mapping[str, int] = field(default_factory=dict)
    rotation_deg: int = 0
    mirrored: bool = False
    sample_aspect: Fraction | None = None
    start_s: float = 0.0
    frame_durations_s: tuple[float, ...] = ()
    interlaced: bool = False
    look: Look = field(default_factory=Look)
    sounds: tuple[Sound, ...] = ()


def write_film(path: Path, film: Film) -> Path:
    """Write `film` to `path`, whose ending chooses the container; returns `path`.

    The same film always gives the same bytes, except in AV1, whose encoder runs threads of its own.
    """
    options = {"fflags": "+bitexact", **film.container_options}
    with av.open(path, "w", options=options) as container:
        tracks: list[Packets] = []
        if film.codec is not None:
            tracks.append(_video_packets(container, film))
        tracks += [_audio_packets(container, film, sound) for sound in film.sounds]
        scheduling = os.sched_getscheduler(0), os.sched_getparam(0)
        container.start_encoding()
        # SVT-AV1, run by root, gives the thread that opens it real-time priority, which threads and
        # processes started from it would inherit, and starve the rest of the machine.
        os.sched_setscheduler(0, *scheduling)
        for packet in heapq.merge(*tracks, key=_decode_time_s):
            container.mux(packet)
    return path


def frame_times_s(film: Film) -> list[float]:
    """When each frame is shown, on the film's own clock; frame n shows barcode n."""
    if not film.frame_durations_s:
        count = math.ceil(film.seconds * film.fps - 1e-6)
        return [float(film.start_s + n / film.fps) for n in range(count)]
    ends = itertools.accumulate(itertools.cycle(film.frame_durations_s))
    starts = itertools.chain([0.0], ends)
    return [
        film.start_s + s for s in itertools.takewhile(lambda s: s < film.seconds - 1e-9, starts)
    ]


def _video_packets(container: OutputContainer, film: Film) -> Packets:
    codec = film.codec or ""
    options = {**QUICK.get(codec, {}), **film.codec_options}
    if film.interlaced:
        options.setdefault("flags", "+ildct+ilme")
    stream = cast(VideoStream, container.add_stream(codec, rate=film.fps, options=options))
    turned = film.rotation_deg % 180 != 0
    stream.width, stream.height = (
        (film.height_px, film.width_px) if turned else (film.width_px, film.height_px)
    )
    context = stream.codec_context
    context.thread_count = 1  # the same bytes on every machine
    context.pix_fmt = film.pix_fmt
    context.time_base = VFR_TIME_BASE if film.frame_durations_s else 1 / film.fps
    context.gop_size = round(min(film.gop_s * float(film.fps), NO_SECOND_KEY_FRAME))
    context.max_b_frames = film.b_frames
    if film.sample_aspect:
        context.sample_aspect_ratio = film.sample_aspect
    if film.rotation_deg or film.mirrored:
        stream.set_display_rotation(film.rotation_deg, hflip=film.mirrored)
    for name, value in film.context_settings.items():
        setattr(context, name, value)
    return _encode_pictures(stream, film)


def _encode_pictures(stream: VideoStream, film: Film) -> Packets:
    time_base = stream.codec_context.time_base
    for number, time_s in enumerate(frame_times_s(film)):
        frame = av.VideoFrame.from_ndarray(_stored_picture(film, number, time_s), format="yuv420p")
        if film.pix_fmt != "yuv420p":
            frame = frame.reformat(format=film.pix_fmt)
        frame.pts, frame.time_base = round(time_s / time_base), time_base
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _stored_picture(film: Film, number: int, time_s: float) -> NDArray[np.uint8]:
    time_s -= film.start_s
    picture = draw(film.look, number, time_s, film.width_px, film.height_px)
    if film.interlaced:  # the lower lines are half a frame later, so a moving edge shows combing
        later = draw(film.look, number, time_s + 0.5 / film.fps, film.width_px, film.height_px)
        picture[0][1::2] = later[0][1::2]
    if film.rotation_deg or film.mirrored:
        picture = turn(picture, -film.rotation_deg // 90, mirrored=film.mirrored)
    return pack(picture)


def _audio_packets(container: OutputContainer, film: Film, sound: Sound) -> Packets:
    stream = cast(
        AudioStream,
        container.add_stream(
            sound.codec,
            rate=sound.sample_rate_hz,
            options=dict(QUICK.get(sound.codec, {})),
            bit_rate=sound.bit_rate,
            layout=sound.layout,
        ),
    )
    stream.disposition = Disposition.default if sound.default else Disposition(0)
    seconds = sound.seconds
    if seconds is None:
        seconds = film.start_s + film.seconds - sound.start_s
    return _encode_sound(stream, sound, round(seconds * sound.sample_rate_hz))


def _encode_sound(stream: AudioStream, sound: Sound, count: int) -> Packets:
    rate_hz = sound.sample_rate_hz
    mono = sounds.samples(sound.kind, count, rate_hz)
    channels = stream.codec_context.layout.nb_channels
    for first in range(0, count, rate_hz):
        second = np.tile(mono[first : first + rate_hz], (channels, 1))
        frame = av.AudioFrame.from_ndarray(second, format="fltp", layout=sound.layout)
        frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
        frame.pts = round(sound.start_s * rate_hz) + first
        yield from stream.encode(frame)
    if count:
        yield from stream.encode(None)


def _decode_time_s(packet: "Packet[Any]") -> Fraction:
    return (packet.dts or 0) * packet.time_base
