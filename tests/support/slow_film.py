"""A film that keeps a worker busy for a second or more, and is written in half of one."""

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import pytest
from av.packet import Packet
from av.video.stream import VideoStream

from captionfleet.standin.films.film import Film, write_film
from tests.support.shared import shared_folder

SCENE_S, REPEATS, MANY_REPEATS = 2, 8, 30
SCENE = Film(
    seconds=SCENE_S, width_px=1920, height_px=1080, fps=Fraction(60), codec="mpeg4", gop_s=60.0
)


def shared_slow_film(factory: pytest.TempPathFactory) -> Path:
    """The slow film of this session; it is to be read only."""
    folder = shared_folder(factory, "slow film", lambda at: write_slow_film(at / "slow.mp4"))
    return folder / "slow.mp4"


def shared_slower_film(factory: pytest.TempPathFactory) -> Path:
    """A film for workers that are killed at work: it keeps them busy for some seconds."""
    folder = shared_folder(
        factory, "slower film", lambda at: write_slow_film(at / "slower.mp4", MANY_REPEATS)
    )
    return folder / "slower.mp4"


def write_slow_film(path: Path, repeats: int = REPEATS) -> Path:
    """Seconds of 60 frames, 16 by default, with hardly a key frame: nearly all are decoded."""
    scene = write_film(path.with_name(f"scene-of-{path.name}"), SCENE)
    with av.open(scene) as source, av.open(path, "w") as container:
        stream = source.streams.video[0]
        target = cast(VideoStream, container.add_stream_from_template(stream))
        packets = [packet for packet in source.demux(stream) if packet.size]
        ticks = round(SCENE_S / (stream.time_base or 1))
        for shift in range(0, repeats * ticks, ticks):
            for packet in packets:
                container.mux(_later(packet, shift, target))
    scene.unlink()
    return path


def _later(packet: "Packet[VideoStream]", ticks: int, stream: VideoStream) -> "Packet[VideoStream]":
    copy = Packet(bytes(packet))
    copy.stream, copy.time_base, copy.is_keyframe = stream, packet.time_base, packet.is_keyframe
    copy.pts, copy.dts = (packet.pts or 0) + ticks, (packet.dts or 0) + ticks
    copy.duration = packet.duration
    return copy
