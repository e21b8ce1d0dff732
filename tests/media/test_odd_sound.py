"""Sound of tracks and timestamps as recorders and editors leave them."""

import random
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from captionfleet.standin.films.film import Sound, write_film
from tests.support import oracle
from tests.support.made import Made, make
from tests.support.odd_films import SMALL

TONE = replace(SMALL, seconds=8.0, sounds=(Sound("tone"),))


def silent_share(made: Made) -> float:
    """How many of the 20 ms pieces of the sound hold none."""
    samples = made.sound()
    pieces = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    return float((np.abs(pieces).max(axis=1) < 0.003).mean())


def rewritten(
    source: Path, target: Path, *, empty_first: bool = False, jitter_s: float = 0
) -> Path:
    """The same packets; sound stamped early and late, or in the second of two tracks."""
    chance, last = random.Random(1), -1  # noqa: S311 - the film is the same each time
    with av.open(source) as read, av.open(target, "w") as written:
        video, audio = read.streams.video[0], read.streams.audio[0]
        copies = {video.index: written.add_stream_from_template(video)}
        if empty_first:
            written.add_stream_from_template(audio)
        copies[audio.index] = written.add_stream_from_template(audio)
        for packet in read.demux():
            if packet.dts is None or packet.pts is None:
                continue
            if packet.stream_index == audio.index and jitter_s:
                off = chance.uniform(-jitter_s, jitter_s)
                last = max(last + 1, int(packet.pts + off / packet.time_base))
                packet.pts = packet.dts = last
            packet.stream = copies[packet.stream_index]
            written.mux(packet)
    return target


def test_a_track_without_packets_gives_way_to_one_that_holds_sound(tmp_path: Path) -> None:
    """The first of two tracks is empty: the second one is heard, as with ffmpeg."""
    source = write_film(tmp_path / "source.mp4", TONE)
    made = make(rewritten(source, tmp_path / "film.mkv", empty_first=True), tmp_path)
    assert made.facts.has_audio
    assert made.facts.audio_s > 7.5


def test_jittering_timestamps_leave_the_sound_whole(tmp_path: Path) -> None:
    """Sound stamped up to 100 ms early or late has no holes; ffmpeg leaves 0.1 % silence."""
    source = write_film(tmp_path / "source.mp4", TONE)
    made = make(rewritten(source, tmp_path / "film.mkv", jitter_s=0.1), tmp_path)
    assert silent_share(made) < 0.01


def test_sound_goes_on_where_the_picture_ends(tmp_path: Path) -> None:
    """Six seconds of picture with twenty of sound: all of both, and nothing counts as lost."""
    picture = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=6")
    sound = ("-f", "lavfi", "-i", "sine=d=20")
    coded = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
    oracle.ffmpeg(*picture, *sound, *coded, tmp_path / "film.mkv")
    facts = make(tmp_path / "film.mkv", tmp_path).facts
    assert facts.frames == 6
    assert facts.audio_s > 19.5
    assert facts.damage.coverage == 1.0
