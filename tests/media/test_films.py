"""Generated films are what they claim, to PyAV and to the independent oracle."""

import itertools
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from captionfleet.standin.films.film import (
    Film,
    Look,
    Sound,
    frame_times_s,
    read_barcode,
    write_film,
)
from captionfleet.standin.films.library import DAMAGED, DEMO_FILMS, damaged_middle, demo_films
from captionfleet.standin.films.pictures import draw, turn
from captionfleet.standin.films.sounds import samples
from tests.support import oracle
from tests.support.shared import shared_folder

RATE_HZ = 16_000


def decoded(path: Path) -> Iterator[Any]:
    with av.open(path) as container:
        yield from container.decode(video=0)


def barcodes(path: Path) -> list[int]:
    return [read_barcode(frame.to_ndarray(format="gray")) for frame in decoded(path)]


def barcodes_cv2(path: Path) -> list[int]:
    frames = oracle.decode_cv2(path)
    return [read_barcode(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)) for frame in frames]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_folder(tmp_path_factory, "demo films", demo_films)


@pytest.mark.parametrize(("width_px", "height_px"), [(640, 360), (202, 360), (96, 64)])
def test_barcode_reads_back(tmp_path: Path, width_px: int, height_px: int) -> None:
    """Every frame's number survives x264 and is read by PyAV and by OpenCV."""
    film = Film(seconds=1, width_px=width_px, height_px=height_px, look=Look(scene_s=0.25))
    path = write_film(tmp_path / "film.mp4", film)
    assert barcodes(path) == barcodes_cv2(path) == list(range(30))


def test_barcode_survives_grain(tmp_path: Path) -> None:
    """Noise all over the picture leaves the barcode legible."""
    film = Film(seconds=0.5, width_px=320, height_px=180, look=Look(grain=100))
    assert barcodes(write_film(tmp_path / "film.mp4", film)) == list(range(15))


def test_barcode_holds_sixteen_bits() -> None:
    """Any number up to 65535 reads back from the picture itself."""
    numbers = range(0, 65_536, 509)
    luma = [draw(Look(), number, 0.0, 160, 96)[0] for number in numbers]
    assert [read_barcode(picture) for picture in luma] == list(numbers)


@pytest.mark.parametrize("quarter_turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_barcode_reads_upright_only(quarter_turns: int, *, mirrored: bool) -> None:
    """A picture that is turned or mirrored shows no barcode, so a wrong turn is noticed."""
    for number in range(0, 65_536, 4099):
        picture = turn(draw(Look(), number, 0.0, 160, 160), quarter_turns, mirrored=mirrored)
        if quarter_turns or mirrored:
            with pytest.raises(ValueError, match="no barcode"):
                read_barcode(picture[0])
        else:
            assert read_barcode(picture[0]) == number


def test_barcode_tells_what_the_guide_samples(tmp_path: Path) -> None:
    """The guide's command takes, of 30 fps, the frame just before each half second."""
    path = write_film(tmp_path / "film.mp4", Film(seconds=4))
    assert barcodes(oracle.guide_video(path, tmp_path / "guide.mp4")) == [14, 44, 74, 104]


def test_two_builds_decode_alike(tmp_path: Path) -> None:
    """PyAV's decoder and the oracle's give the same bytes, so a framemd5 may be compared."""
    path = write_film(tmp_path / "film.mp4", Film(seconds=1, b_frames=3))
    ours = [(frame.pts, oracle.frame_md5(frame.to_ndarray())) for frame in decoded(path)]
    assert ours == oracle.framemd5_all(path)


def test_films_are_reproducible(tmp_path: Path) -> None:
    """The same film has the same bytes, whatever its container."""
    film = Film(seconds=1, width_px=160, height_px=96, look=Look(grain=9), sounds=(Sound(),))
    for ending in (".mp4", ".mkv", ".ts"):
        first = write_film(tmp_path / f"a{ending}", film).read_bytes()
        assert write_film(tmp_path / f"b{ending}", film).read_bytes() == first


def test_frame_times_are_those_of_the_file(tmp_path: Path) -> None:
    """`frame_times_s` is when the frames are shown, at a variable rate too."""
    film = Film(seconds=3, width_px=160, height_px=96, frame_durations_s=(0.02, 0.5, 0.033))
    times_s = [frame.time for frame in decoded(write_film(tmp_path / "film.mp4", film))]
    assert times_s == pytest.approx(frame_times_s(film), abs=1e-4)
    assert len(times_s) == 17


def test_cuts_stand_out(tmp_path: Path) -> None:
    """A cut changes the picture far more than motion does, and motion more than nothing."""
    moving = Film(seconds=4, width_px=320, height_px=180, look=Look(scene_s=1.0))
    grays = [
        f.to_ndarray(format="gray")[40:] for f in decoded(write_film(tmp_path / "a.mp4", moving))
    ]
    change = [
        float(np.abs(np.subtract(b, a, dtype=float)).mean()) for a, b in itertools.pairwise(grays)
    ]
    cuts = [29, 59, 89]
    within = [c for i, c in enumerate(change) if i not in cuts]
    assert min(change[i] for i in cuts) > 10 * max(within)
    assert np.mean(within) > 0.1


def test_sounds_are_told_apart() -> None:
    """A tone is steady, ticks mark whole seconds, speech pauses, silence is nothing."""
    peaks = {
        kind: np.abs(samples(kind, 6 * RATE_HZ, RATE_HZ)).reshape(60, -1).max(axis=1)
        for kind in ("tone", "ticks", "speech", "silence")
    }  # peaks of each tenth of a second
    assert peaks["tone"].min() > 0.29
    assert np.flatnonzero(peaks["ticks"]).tolist() == [0, 10, 20, 30, 40, 50]
    assert peaks["speech"][23:29].max() == 0
    assert peaks["speech"][:20].max() > 0.2
    assert peaks["silence"].max() == 0


def test_sounds_repeat_without_a_limit() -> None:
    """A sound longer than its loop goes on, ticks still at whole seconds."""
    ticks = samples("ticks", 30 * RATE_HZ, RATE_HZ).reshape(30, -1)
    assert np.abs(ticks - ticks[0]).max() < 1e-5


def test_damaged_middle_loses_some_packets(tmp_path: Path) -> None:
    """A damaged film opens, some of its packets fail, and most of its frames decode."""
    film = Film(seconds=5, width_px=160, height_px=96, gop_s=1.0)
    path = damaged_middle(write_film(tmp_path / "film.mp4", film))
    frames = failures = 0
    with av.open(path) as container:
        for packet in container.demux(video=0):
            try:
                frames += len(packet.decode())
            except av.InvalidDataError:
                failures += 1
    assert failures >= 5
    assert frames >= 100


def test_demo_has_every_film(demo: Path) -> None:
    """The demo's folder holds the films of the table, and the damaged one."""
    found = {str(path.relative_to(demo)) for path in demo.rglob("*") if path.is_file()}
    assert found == {*DEMO_FILMS, DAMAGED}


@pytest.mark.parametrize("name", DEMO_FILMS)
def test_demo_film_keeps_its_word(demo: Path, name: str) -> None:
    """Length, shape, codec, rotation and sound of each demo film are those of its description."""
    film = DEMO_FILMS[name]
    with av.open(demo / name) as container:
        video = container.streams.video[0]
        frame = next(container.decode(video))
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(film.seconds, abs=1)
        assert film.codec is not None
        assert video.codec_context.codec.canonical_name == av.Codec(film.codec, "w").canonical_name
        heard = [(s.codec_context.codec, s.codec_context.layout) for s in container.streams.audio]
        assert [(codec.canonical_name, layout.name) for codec, layout in heard] == [
            (av.Codec(sound.codec, "w").canonical_name, sound.layout) for sound in film.sounds
        ]
    assert frame.rotation == film.rotation_deg
    shown = (frame.height, frame.width) if film.rotation_deg % 180 else (frame.width, frame.height)
    assert shown == (film.width_px, film.height_px)
    assert oracle.gray_fps1(demo / name, film.width_px, film.height_px, seconds=5)


def test_demo_shows_every_trap(demo: Path) -> None:
    """The demo has an upright film, a turned, a mute, an uneven, an HEVC and a long one."""
    films = DEMO_FILMS.values()
    assert any(film.height_px > film.width_px and not film.rotation_deg for film in films)
    assert any(film.rotation_deg for film in films)
    assert any(not film.sounds for film in films)
    assert any(film.codec == "libx265" for film in films)
    assert any(film.seconds == 300 for film in films)
    uneven = next(name for name, film in DEMO_FILMS.items() if film.frame_durations_s)
    times_s = [frame.time for frame in decoded(demo / uneven)]
    assert np.ptp(np.diff(times_s)) > 1


def test_demo_damaged_film_cannot_be_opened(demo: Path) -> None:
    """The damaged download has lost its index: neither PyAV nor the oracle can open it."""
    with pytest.raises(av.InvalidDataError):
        av.open(demo / DAMAGED)
    with pytest.raises(oracle.OracleError):
        oracle.framemd5_fps1(demo / DAMAGED)
    assert oracle.decode_cv2(demo / DAMAGED) == []


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_rotation_is_undone_by_a_player(
    tmp_path: Path, rotation_deg: int, *, mirrored: bool
) -> None:
    """A film stored turned or mirrored is shown upright by a program that heeds its matrix."""
    film = Film(
        seconds=0.6, width_px=160, height_px=96, fps=Fraction(10),
        rotation_deg=rotation_deg, mirrored=mirrored,
    )  # fmt: skip
    path = write_film(tmp_path / "film.mp4", film)
    assert read_barcode(oracle.gray_fps1(path, 160, 96)[0]) == 4


def test_encoders_leave_the_process_as_it_is(tmp_path: Path) -> None:
    """Writing a film gives nobody more of the machine, though an encoder may try as root."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    write_film(tmp_path / "film.mp4", Film(seconds=1.0, codec="libsvtav1"))
    assert (os.sched_getscheduler(0), os.sched_getparam(0)) == before
