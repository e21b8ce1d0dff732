"""Sound and picture keep their common zero: a tick at 3 s is heard at 3 s, whatever the clock."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from captionfleet.media.sound.audio import AudioTrack
from captionfleet.media.sound.writer import SoundWriter
from captionfleet.standin.films.film import Film, Sound, write_film
from tests.support import oracle
from tests.support.made import Made, make, number
from tests.support.odd_files import FRAGMENTED
from tests.support.odd_films import SMALL, TS_WRAP_S

TICKS = Sound("ticks")
FIVE_S = replace(SMALL, seconds=5.0, sounds=(TICKS,))
AS_IT_IS = {"avoid_negative_ts": "disabled"}


def ticking(ending: str, video: str = "libx264", **sound: object) -> tuple[str, Film]:
    return ending, replace(FIVE_S, codec=video, sounds=(replace(TICKS, **sound),))  # type: ignore[arg-type]


def starting(start_s: float) -> tuple[str, Film]:
    sound = replace(TICKS, start_s=start_s, seconds=5.0)
    return ".ts", replace(FIVE_S, start_s=start_s, sounds=(sound,))


FILMS: dict[str, tuple[str, Film]] = {
    "mp4": ticking(".mp4"),
    "matroska": ticking(".mkv"),
    "fragmented": (".mp4", replace(FIVE_S, container_options=FRAGMENTED)),
    "pcm": ticking(".mov", sample_rate_hz=8000, layout="mono", codec="pcm_s16le"),
    "44_1_khz": ticking(".mp4", sample_rate_hz=44_100),
    "surround": ticking(".mp4", layout="5.1", bit_rate=192_000),
    "opus": ticking(".webm", "libvpx-vp9", codec="libopus"),
    "mp3": ticking(".mp4", codec="libmp3lame"),
    "transport_stream": ticking(".ts"),
    "big_start": starting(40_000),
    "negative_start": starting(int(TS_WRAP_S) - 40),
    "clock_wraps": starting(int(TS_WRAP_S) - 2),
    "sound_late": ticking(".mp4", start_s=0.7),
    "sound_late_matroska": ticking(".mkv", start_s=0.7),
    "sound_late_ts": ticking(".ts", start_s=0.7),
    "sound_very_late": ticking(".mp4", start_s=2.7),
    "picture_late": (".mp4", replace(FIVE_S, start_s=0.7)),
    "picture_late_ts": (".ts", replace(FIVE_S, start_s=0.7)),
    "edit_list": (".mp4", replace(FIVE_S, start_s=-0.5, container_options=AS_IT_IS)),
    "sound_cut": (
        ".mp4",
        replace(FIVE_S, sounds=(replace(TICKS, start_s=-0.5),), container_options=AS_IT_IS),
    ),
}


def film_zero_s(made: Made, film: Film) -> float:
    """When, on the prepared clip's clock, the film's own zero is: by a picture and its number."""
    last = made.facts.frames - made.facts.padded_frames - 1
    shown = made.numbers()[last]
    assert shown is not None
    return made.facts.frame_times_s[last] - (film.start_s + shown / float(film.fps))


@pytest.mark.parametrize("name", FILMS)
def test_each_tick_is_heard_with_its_picture(tmp_path: Path, name: str) -> None:
    """Each tick is within 10 ms of its time in the film; silence stands in for missing sound."""
    ending, film = FILMS[name]
    made = make(write_film(tmp_path / f"film{ending}", film), tmp_path)
    zero_s = film_zero_s(made, film) + film.sounds[0].start_s
    ticks_s = np.array(made.ticks_s()) - zero_s
    assert ticks_s == pytest.approx(np.round(ticks_s), abs=0.010)
    assert np.diff(np.round(ticks_s)).tolist() == [1.0] * (len(ticks_s) - 1)
    assert len(ticks_s) >= 3


def joined(folder: Path, *films: Film) -> Path:
    """Transport streams one behind the other, as recorders and `cat` leave them."""
    parts = [write_film(folder / f"{n}.ts", film).read_bytes() for n, film in enumerate(films)]
    path = folder / "joined.ts"
    path.write_bytes(b"".join(parts))
    return path


@pytest.mark.parametrize("starts_s", [(40_000.0, 0.0), (0.0, 40_000.0), (7.0, 90_000.0, 7.0)])
def test_a_clock_set_anew_neither_stops_nor_cuts(
    tmp_path: Path, starts_s: tuple[float, ...]
) -> None:
    """Where a transport stream's clock jumps, picture and sound go on, as ffmpeg has them."""
    path = joined(tmp_path, *(starting(start_s)[1] for start_s in starts_s))
    made = make(path, tmp_path)
    grays, _ = oracle.guide_takes(path, tmp_path, 320, 192, sound=True)
    assert made.numbers()[: len(grays)] == [number(gray) for gray in grays]
    assert made.facts.frames - made.facts.padded_frames == 5 * len(starts_s)
    assert made.ticks_s() == pytest.approx(np.arange(5 * len(starts_s)), abs=0.15)
    assert made.facts.damage.coverage == 1


def test_sound_may_change_its_format_midway(tmp_path: Path) -> None:
    """From stereo at 48 kHz to mono at 44.1 kHz and back, no sound is lost."""
    mono = replace(TICKS, sample_rate_hz=44_100, layout="mono")
    films = [
        replace(FIVE_S, start_s=start_s, sounds=(replace(sound, start_s=start_s, seconds=5.0),))
        for start_s, sound in ((0.0, TICKS), (5.0, mono), (10.0, TICKS))
    ]
    made = make(joined(tmp_path, *films), tmp_path)
    assert made.ticks_s() == pytest.approx(np.arange(15), abs=0.04)


@pytest.mark.parametrize("ending", [".mkv", ".mp4", ".ts"])
def test_a_gap_becomes_silence(tmp_path: Path, ending: str) -> None:
    """Two seconds without sound packets are two seconds of silence, and what follows is in time."""
    source = write_film(tmp_path / f"whole{ending}", replace(FIVE_S, seconds=6.0))
    path = tmp_path / f"gap{ending}"
    with av.open(source) as film, av.open(path, "w") as container:
        copies = {s.index: container.add_stream_from_template(s) for s in film.streams}
        for packet in film.demux():
            at_s = -1 if packet.dts is None else packet.dts * packet.time_base
            is_dropped = packet.stream.type == "audio" and 1.5 < at_s < 3.5
            if packet.dts is not None and not is_dropped:
                packet.stream = copies[packet.stream_index]
                container.mux(packet)
    assert make(path, tmp_path).ticks_s() == pytest.approx([0, 1, 4, 5], abs=0.03)


def test_timestamps_that_run_back_lose_no_sound(tmp_path: Path) -> None:
    """Sound whose clock falls back by half a minute goes on without a gap."""
    heard = tmp_path / "heard.ogg"
    with av.open(write_film(tmp_path / "film.mkv", FIVE_S)) as film:
        stream = film.streams.audio[0]
        writers = [SoundWriter(heard, 24_000)]
        with AudioTrack(writers, stream, zero=0, seconds=60.0) as track:
            for packet in film.demux(stream):
                if packet.pts is not None and packet.pts > 2.5 / stream.time_base:
                    packet.pts -= round(30 / stream.time_base)
                track.push(packet if packet.size else None)
            track.finish()
    samples, rate_hz = oracle.decode_audio(heard)
    assert len(samples) / rate_hz == pytest.approx(5.0, abs=0.05)
    assert [np.abs(samples[n * rate_hz :][:640]).max() > 0.5 for n in range(5)] == [True] * 5


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_mixing_down_never_clips(tmp_path: Path, layout: str) -> None:
    """The same sound in every channel comes out as loud as it was, however many channels."""
    film = replace(FIVE_S, sounds=(replace(TICKS, layout=layout, bit_rate=256_000),))
    peak = float(np.abs(make(write_film(tmp_path / "film.mp4", film), tmp_path).sound()).max())
    assert peak == pytest.approx(0.8, abs=0.12)
