"""What only the container knows of the pictures reaches them: crop, turn and colours."""

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.facts.geometry import Crop
from captionfleet.media.facts.stream_facts import StreamFacts, facts_in
from captionfleet.standin.films.film import Look, write_film
from tests.support import mp4_boxes, oracle
from tests.support.hdr import write_chart
from tests.support.made import Made, make
from tests.support.odd_films import MUTE, PQ

FILM = replace(
    MUTE, seconds=2.0, width_px=320, height_px=180, fps=Fraction(5), look=Look(first_scene=3)
)
_HALF = (160, 180, 80, 0, (320, 180))
ONE = 1 << 16


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("plain") / "film.mp4", FILM)


def assert_looks_as_to_ffmpeg(made: Made, path: Path) -> None:
    """The pictures are those of ffmpeg's fps=1, at the size that ffmpeg gives them."""
    width, height = made.facts.width, made.facts.height
    theirs = oracle.gray_fps1(path, width, height)
    assert len(theirs) == 2
    for seen, expected in zip(made.grays(), theirs, strict=True):
        assert np.abs(seen.astype(int) - expected).mean() < 4


def copied(path: Path, to: Path, *options: str) -> Path:
    oracle.ffmpeg("-i", path, "-c", "copy", *options, to)
    return to


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("clap", "size_px"),
    [(_HALF, (320, 360)), ((320, 90, 0, 60, (320, 180)), (1280, 360))],
    ids=["sides", "letterbox"],
)
def test_borders_that_the_container_hides_are_not_sent(
    plain: Path, tmp_path: Path, ending: str, clap: tuple[int, ...], size_px: tuple[int, int]
) -> None:
    """MP4's clean aperture and Matroska's PixelCrop cut the picture, as in a player."""
    path = Path(shutil.copy(plain, tmp_path / "cropped.mp4"))
    mp4_boxes.add_to_first_track(path, mp4_boxes.clap(*clap))  # type: ignore[arg-type]
    if ending != ".mp4":
        path = copied(path, path.with_suffix(ending))
    made = make(path, tmp_path)
    assert (made.facts.width, made.facts.height) == size_px
    assert (made.facts.source_width, made.facts.source_height) == (320, 180)
    assert_looks_as_to_ffmpeg(made, path)


@pytest.mark.parametrize("rotation_deg", [90, 180, 270])
def test_a_cropped_film_is_cropped_and_then_turned(tmp_path: Path, rotation_deg: int) -> None:
    """The clean aperture speaks of the stored picture, before its turn."""
    path = write_film(tmp_path / "turned.mp4", replace(FILM, rotation_deg=rotation_deg))
    stored = (180, 320) if rotation_deg % 180 else (320, 180)
    aperture = (stored[0] // 2 // 2 * 2, stored[1], 0, 0, stored)
    mp4_boxes.add_to_first_track(path, mp4_boxes.clap(*aperture))
    made = make(path, tmp_path)
    assert made.facts.rotation_deg == -rotation_deg % 360
    assert (made.facts.width > made.facts.height) == bool(rotation_deg % 180)
    assert_looks_as_to_ffmpeg(made, path)


def test_borders_that_leave_nothing_are_none(plain: Path, tmp_path: Path) -> None:
    """A stream whose pictures grow small midway is shown whole where the crop fits no more."""
    assert Crop(100, 100, 0, 0).shown_px(320, 180) == (120, 180)
    assert Crop(100, 100, 0, 0).shown_px(200, 180) == (200, 180)
    path = Path(shutil.copy(plain, tmp_path))
    mp4_boxes.add_to_first_track(path, mp4_boxes.clap(4000, 180, 0, 0, (320, 180)))
    made = make(path, tmp_path)
    assert (made.facts.width, made.facts.height) == (640, 360)


DESCRIPTION = """Input #0, matroska,webm, from '':
  Metadata:
    title           : hostile
  Stream #0:0: Video: h264, yuv420p, 640x360
    Side data:
      Frame Cropping: 1/2/3/4
  Stream #0:1[0x2](eng): Video: hevc, yuv420p10le, 640x360
    Metadata:
      title           : Frame Cropping: 5/5/5/5
                      : Frame Cropping: 6/6/6/6
    Side data:
      DOVI configuration record: version: 1.0, profile: 5, level: 6, rpu flag: 1
  Stream #0:10: Audio: aac
"""


def test_facts_are_those_of_the_stream_that_is_shown() -> None:
    """Other streams' facts, and metadata that look like facts, are none."""
    assert facts_in(DESCRIPTION, 0) == StreamFacts(Crop(1, 2, 3, 4), None)
    assert facts_in(DESCRIPTION, 1) == StreamFacts(Crop(), 5)
    assert facts_in(DESCRIPTION, 2) == facts_in("", 0) == StreamFacts(Crop(), None)


def _turned(angle_deg: float) -> tuple[int, ...]:
    """The display matrix of a clockwise rotation."""
    cos, sin = (round(ONE * f(math.radians(angle_deg))) for f in (math.cos, math.sin))
    return cos, sin, 0, -sin, cos, 0, 0, 0, 1 << 30


@pytest.mark.parametrize(
    ("matrix", "rotation_deg"),
    [
        ((0,) * 9, 0),
        ((ONE, 0, 0, 0, 0, 0, 0, 0, 1 << 30), 0),
        ((0, ONE, 0, 0, 0, 0, 0, 0, 1 << 30), 0),
        (_turned(40), 0),
        (_turned(60), 90),
        (_turned(200), 180),
        (_turned(-80), 270),
    ],
    ids=["zero", "no height", "no direction", "40", "60", "200", "-80"],
)
def test_a_matrix_that_is_no_quarter_turn(
    plain: Path, tmp_path: Path, matrix: tuple[int, ...], rotation_deg: int
) -> None:
    """One without a direction leaves the picture upright, a slanted one is the nearest quarter."""
    path = Path(shutil.copy(plain, tmp_path))
    mp4_boxes.set_matrix(path, matrix)
    made = make(path, tmp_path)
    assert made.facts.rotation_deg == rotation_deg
    upright = make(plain, tmp_path).luma()[0]
    if not rotation_deg:
        assert (made.luma()[0] == upright).all()


GRAYS_CD_M2 = tuple((gray,) * 3 for gray in (0.0, 5, 50, 203, 1000, 4000))


def _forget_colours(tagged: Path, to: Path) -> Path:
    """Copy an HEVC film, its bitstream's labels taken away; only a container keeps them."""
    unlabelled = "colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2"
    return copied(tagged, to, "-bsf:v", f"hevc_metadata={unlabelled}", "-movflags", "+write_colr")


def _as_matroska(tagged: Path, folder: Path) -> Path:
    return _forget_colours(tagged, folder / "container.mkv")


def _as_mp4(tagged: Path, folder: Path) -> Path:
    return _forget_colours(tagged, folder / "container.mp4")


def _first_frame(path: Path) -> av.VideoFrame:
    with av.open(path) as container:
        return next(container.decode(video=0))


@pytest.mark.parametrize("kept_by", [_as_matroska, _as_mp4])
def test_hdr_that_only_the_container_tells_of_is_tone_mapped(
    tmp_path: Path, kept_by: Callable[[Path, Path], Path]
) -> None:
    """Such a film looks as one whose bitstream says it too."""
    tagged = write_chart(tmp_path / "tagged.mp4", PQ, GRAYS_CD_M2)
    path = kept_by(tagged, tmp_path)
    frame = _first_frame(path)
    assert (frame.color_trc, frame.color_primaries) == (2, 2)
    expected: list[NDArray[np.uint8]] = make(tagged, tmp_path).luma()
    assert all((a == b).all() for a, b in zip(make(path, tmp_path).luma(), expected, strict=True))


def test_full_range_that_only_the_container_tells_of(tmp_path: Path) -> None:
    """Black and white of a full-range film whose bitstream says nothing are not clipped."""
    film = replace(FILM, seconds=1.0)
    path = write_film(tmp_path / "film.mp4", film)
    labelled = Path(shutil.copy(path, tmp_path / "labelled.mp4"))
    mp4_boxes.add_to_first_track(labelled, mp4_boxes.nclx(1, 1, 1, full_range=True))
    bright = make(path, tmp_path).luma()[0].astype(float)
    mapped = make(labelled, tmp_path).luma()[0].astype(float)
    assert np.abs(mapped - (16 + bright * 219 / 255)).mean() < 3


@pytest.mark.parametrize(("profile", "is_shown"), [(5, False), (8, True)])
def test_dolby_vision_is_never_shown_in_false_colours(
    tmp_path: Path, profile: int, *, is_shown: bool
) -> None:
    """Profile 5 has colours of its own, and so a code; profile 8 is HDR to every player."""
    path = write_chart(tmp_path / "film.mp4", PQ, GRAYS_CD_M2)
    mp4_boxes.add_to_first_track(path, mp4_boxes.dolby_vision(profile))
    if is_shown:
        assert make(path, tmp_path).facts.frames == 2
        return
    with pytest.raises(MediaError) as refusal:
        make(path, tmp_path)
    assert refusal.value.code is FailureCode.UNSUPPORTED_COLOURS
    assert refusal.value.code.permanent
