"""Windows in the middle of a film: the very frames and samples that the whole film has there."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from captionfleet.media.opening.container import choose_video, open_media
from captionfleet.media.opening.film_end import film_end_s
from captionfleet.media.opening.lengths import source_seconds
from captionfleet.media.sound.writer import SoundWriter
from captionfleet.media.take import take_clip
from captionfleet.messages import Clip
from captionfleet.standin.films.film import Film, Look, Sound, write_film
from tests.media.test_exact import FILMS, films, slot  # noqa: F401 - a fixture
from tests.support import oracle
from tests.support.preparing import clip_of
from tests.support.sampled import SPEC
from tests.support.windowed import ffmpeg_window, measured, sample_window, window_of

ENTERED = [
    "h264_2s", "h264_open", "h264_open_ts", "h264_pyramid", "h264_vfr", "h264_no_b_frames",
    "h264_23_976", "hevc_rasl", "vp9", "mpeg2", "mpeg4_avi",
]  # fmt: skip
FROM_THE_START = ["h264_endless", "h264_intra_refresh"]


@pytest.mark.parametrize("name", ENTERED + FROM_THE_START)
def test_a_window_has_the_frames_of_the_whole_film(
    films: Callable[[str], Path],  # noqa: F811
    name: str,
) -> None:
    """Bit for bit what another FFmpeg's fps filter gives of the whole film from there on."""
    path = films(name)
    for start_s, end_s in ((2.0, 5.0), (2.3, 4.3)):
        sampled = sample_window(path, start_s, end_s)
        assert sampled.hashes == ffmpeg_window(path, start_s, end_s)
        fast = sample_window(path, start_s, end_s, fast=True)
        assert [slot(time) for time in fast.times_s] == [slot(time) for time in sampled.times_s]


def test_a_window_is_entered_midway(films: Callable[[str], Path]) -> None:  # noqa: F811
    """Of five seconds with a key frame each second, the last one and a half are looked at."""
    sampled = sample_window(films("h264_open"), 4.0, 5.0)
    assert sampled.packets <= 2.1 * 15


def heard(path: Path, start_s: float, end_s: float, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The samples that are written as the sound of a window."""
    pcm: list[bytes] = []
    monkeypatch.setattr(SoundWriter, "write", lambda _, samples: pcm.append(bytes(samples)))
    take_clip(
        window_of(path, start_s, end_s), SPEC, [SoundWriter(path.with_suffix(".ogg"), 24_000)]
    )
    return b"".join(pcm)


def as_numbers(pcm: bytes) -> NDArray[np.float64]:
    return np.frombuffer(pcm, np.int16).astype(np.float64)


@pytest.mark.parametrize(
    ("ending", "codec", "rate_hz"),
    [(".mp4", "aac", 48_000), (".ts", "aac", 48_000), (".mkv", "libopus", 48_000),
     (".avi", "pcm_s16le", 16_000), (".mkv", "flac", 44_100)],
)  # fmt: skip
def test_windows_join_into_the_sound_of_the_whole_film(
    ending: str, codec: str, rate_hz: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one sample is lost, doubled or moved where a window ends and the next begins."""
    sound = Sound("speech", rate_hz, "mono", codec)
    film = Film(seconds=12, width_px=160, height_px=96, fps=Fraction(10), gop_s=1, sounds=(sound,))
    path = write_film(tmp_path / f"film{ending}", film)
    whole = as_numbers(heard(path, 0.0, 12.0, monkeypatch))
    joined = np.concatenate(
        [as_numbers(heard(path, start, start + 4.0, monkeypatch)) for start in (0.0, 4.0, 8.0)]
    )
    shared = min(len(whole), len(joined))
    assert abs(len(whole) - len(joined)) <= 1
    error = np.abs(whole[:shared] - joined[:shared])
    limit = {"pcm_s16le": 0, "flac": 1, "aac": 1, "libopus": 0.02 * np.abs(whole).max()}[codec]
    assert error.max() <= limit


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
def test_a_film_that_was_cut_off_ends_where_it_really_does(ending: str, tmp_path: Path) -> None:
    """A header that promises twelve seconds makes no windows of what is not there."""
    film = Film(seconds=12, width_px=160, height_px=96, fps=Fraction(10), gop_s=1)
    path = write_film(
        tmp_path / f"film{ending}",
        Film(**{**vars_of(film), "container_options": {"movflags": "+faststart"}})
        if ending == ".mp4"
        else film,
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with open_media(clip_of(path).source, SPEC.max_pixels) as container:
        stream = choose_video(container, SPEC.max_pixels)
        assert 3 < film_end_s(container, stream, source_seconds(container, stream)) < 9
    with open_media(clip_of(path).source, SPEC.max_pixels) as container:
        stream = choose_video(container, SPEC.max_pixels)
        assert 3 < film_end_s(container, stream, 100_000.0) < 9


JOINED = {"overlap": (0.0, 4.0), "hours later, then a restart": (0.0, 4000.0, 0.0)}
PART_S = 6


@pytest.mark.parametrize("name", JOINED)
def test_windows_of_a_recording_that_is_joined_of_several(name: str, tmp_path: Path) -> None:
    """Whatever the clocks of the parts are, windows are those of the film as ffmpeg plays it.

    The same frames bit for bit, and all of them: the file's own length speaks of its last clock.
    """
    path = tmp_path / "joined.ts"
    with path.open("wb") as joined:
        for number, start_s in enumerate(JOINED[name]):
            sound = Sound("ticks", 16_000, "mono", start_s=start_s, seconds=PART_S)
            film = Film(
                seconds=PART_S, width_px=160, height_px=96, fps=Fraction(10), gop_s=1,
                start_s=start_s, sounds=(sound,), look=Look(first_scene=3 * number),
            )  # fmt: skip
            joined.write(write_film(tmp_path / "part.ts", film).read_bytes())
    film = measured(path)
    shown = ffmpeg_window(path, 0.0, 100.0, sound=True)
    assert film.is_joined
    assert film.seconds == pytest.approx(len(shown), abs=0.6)
    for start in (4, PART_S + 1, len(shown) - 3):
        sampled = sample_window(path, float(start), float(start + 3), film=film)
        assert sampled.hashes == shown[start : start + 3]
    assert taken(path, window_of(path, len(shown) - 3.0, float(len(shown)), film)) > 2.5


def taken(path: Path, clip: Clip) -> float:
    """How many seconds of sound a clip has."""
    return take_clip(clip, SPEC, [SoundWriter(path.with_suffix(".ogg"), 24_000)]).audio_s


def test_a_raw_stream_has_a_length(tmp_path: Path) -> None:
    """Its packets have no times, so its pictures are counted."""
    film = Film(seconds=3, width_px=160, height_px=96, fps=Fraction(25))
    path = write_film(tmp_path / "film.mp4", film)
    raw = tmp_path / "film.h264"
    oracle.ffmpeg("-i", path, "-c", "copy", "-f", "h264", raw)
    assert measured(raw, "end").seconds == pytest.approx(3.0, abs=0.1)


def vars_of(film: Film) -> dict[str, object]:
    return {name: getattr(film, name) for name in film.__dataclass_fields__}


def test_the_sound_file_of_a_window(tmp_path: Path) -> None:
    """The Ogg lasts as long as the window."""
    film = Film(seconds=8, width_px=160, height_px=96, fps=Fraction(10), sounds=(Sound("tone"),))
    path = write_film(tmp_path / "film.mp4", film)
    taken = take_clip(
        window_of(path, 3.0, 6.0), SPEC, [SoundWriter(tmp_path / "sound.ogg", 24_000)]
    )
    assert taken.audio_s == 3.0
    assert taken.reel.times_s == pytest.approx([3.4, 4.4, 5.4])
    with av.open(str(tmp_path / "sound.ogg")) as container:
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(3.0, abs=0.1)
