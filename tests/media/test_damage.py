"""Damaged films are captioned for what is there, and the line says what is not."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.damage.damage import LEAST_COVERAGE
from captionfleet.messages import Damage
from captionfleet.standin.films.film import Film, Look, Sound, write_film
from captionfleet.standin.films.library import damaged_middle
from tests.support.made import Made, make
from tests.support.odd_films import SMALL

FPS = 15
TEN_S = replace(SMALL, seconds=10.0, fps=Fraction(FPS), gop_s=1.0, b_frames=2, look=Look(grain=10))
MUTE = replace(TEN_S, sounds=())
PS = replace(TEN_S, codec="mpeg2video", sounds=(Sound(codec="mp2"),))
FILMS: dict[str, Film] = {
    "h264.mp4": TEN_S,
    "h264.ts": TEN_S,
    "h264.mkv": TEN_S,
    "h264.flv": TEN_S,
    "mute.mkv": MUTE,
    "mpeg2.mpg": PS,
    "mpeg2.ts": PS,
    "mpeg4.avi": replace(TEN_S, codec="mpeg4", sounds=(Sound(codec="libmp3lame"),)),
    "wmv.wmv": replace(TEN_S, codec="wmv2", b_frames=0, sounds=(Sound(codec="wmav2"),)),
}
# These containers say how long they are.
DATED = ("h264.mkv", "mute.mkv", "h264.flv", "mpeg4.avi")
# Here damage costs the clock: one counts packets, the other runs back and is set anew.
CLOCKS_LOST = ("mpeg4.avi", "mpeg2.mpg")
FAST_START = replace(TEN_S, container_options={"movflags": "+faststart"})


@dataclass(frozen=True, slots=True)
class Whole:
    """A film, and what was made of it before anything happened to it."""

    path: Path
    made: Made


# The scope has pytest take the tests of a film one after the other, so that each is made once.
@pytest.fixture(scope="module", params=FILMS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """One film after the other."""
    folder = tmp_path_factory.mktemp("whole")
    path = write_film(folder / request.param, FILMS[request.param])
    return Whole(path, make(path, folder))


def cut(path: Path, folder: Path, share: float) -> Path:
    """A copy, elsewhere or in place, of the first part of a file."""
    data = path.read_bytes()
    copy = folder / path.name
    copy.write_bytes(data[: int(len(data) * share)])
    return copy


def test_a_sound_film_shows_no_damage(whole: Whole) -> None:
    """Ten seconds in any container: nothing lost, all covered."""
    assert whole.made.facts.damage == Damage()
    assert whole.made.facts.frames == 10


def test_a_lost_second_is_told(whole: Whole, tmp_path: Path) -> None:
    """With a tenth of its bytes overwritten, about as many packets are told lost as were."""
    made = make(damaged_middle(cut(whole.path, tmp_path, 1.0)), tmp_path)
    assert 10 <= made.facts.damage.packets_lost <= 100
    assert 0.8 <= made.facts.damage.coverage <= 1.0
    numbers, before = made.numbers(), whole.made.numbers()
    assert numbers[:4] == before[:4]
    if whole.path.name not in CLOCKS_LOST:
        assert numbers[8:] == before[8:]


@pytest.mark.parametrize("whole", DATED, indirect=True)
def test_a_film_cut_off_is_captioned_for_what_is_there(whole: Whole, tmp_path: Path) -> None:
    """Of six seconds out of ten, six frames are sent, and coverage is 0.6."""
    made = make(cut(whole.path, tmp_path, 0.6), tmp_path)
    assert made.numbers() == whole.made.numbers()[:6]
    assert made.facts.damage.coverage == 0.6
    assert made.facts.damage.packets_lost == pytest.approx(4 * FPS, abs=4)


@pytest.mark.parametrize("whole", DATED, indirect=True)
def test_too_little_of_a_film_is_refused(whole: Whole, tmp_path: Path) -> None:
    """Below the least coverage the clip fails as cut off, for good."""
    with pytest.raises(MediaError) as refused:
        make(cut(whole.path, tmp_path, LEAST_COVERAGE - 0.1), tmp_path)
    assert refused.value.code == FailureCode.CUT_OFF
    assert refused.value.code.permanent


def test_an_index_that_promises_more_than_there_is(tmp_path: Path) -> None:
    """An MP4 with its index in front, cut at 60 %, is captioned for the rest."""
    made = make(cut(write_film(tmp_path / "film.mp4", FAST_START), tmp_path, 0.6), tmp_path)
    assert made.facts.damage.coverage == 0.6
    assert made.numbers() == [7, 22, 37, 52, 67, 82]


@pytest.mark.parametrize("whole", ["h264.mkv"], indirect=True)
def test_only_the_window_counts(whole: Whole, tmp_path: Path) -> None:
    """What is missing after the clip's end is no damage to the clip."""
    path = cut(whole.path, tmp_path, 0.6)
    assert make(path, tmp_path, seconds=4.0).facts.damage == Damage()


def test_nothing_is_read_that_cannot_matter(tmp_path: Path) -> None:
    """Sound that ends early does not have the rest of a long file read, nor its damage told."""
    film = replace(FAST_START, seconds=60.0, fps=Fraction(4), sounds=(Sound(seconds=2.0),))
    path = cut(write_film(tmp_path / "whole.mp4", film), tmp_path, 0.8)
    made = make(path, tmp_path, seconds=4.0)
    assert (made.facts.decode_errors, made.facts.damage) == (0, Damage())
    assert made.facts.audio_s == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("durations_s", [(0.02, 0.1, 0.4), (0.04,) * 20 + (2.5,)])
@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_an_uneven_frame_rate_is_no_damage(
    tmp_path: Path, durations_s: tuple[float, ...], ending: str
) -> None:
    """A screen that stands still for seconds has lost nothing."""
    film = replace(TEN_S, frame_durations_s=durations_s, b_frames=0)
    made = make(write_film(tmp_path / f"film{ending}", film), tmp_path)
    assert made.facts.damage == Damage(padded_frames=made.facts.padded_frames)


def test_frozen_frames_are_counted(tmp_path: Path) -> None:
    """Seconds whose frames were all lost show the frame before, and are told."""
    whole = write_film(tmp_path / "whole.mkv", replace(TEN_S, seconds=20.0, gop_s=0.5))
    path = tmp_path / "gap.mkv"
    data = whole.read_bytes()
    path.write_bytes(
        data[: int(len(data) * 0.4)] + bytes(len(data) // 4) + data[int(len(data) * 0.65) :]
    )
    damage = make(path, tmp_path).facts.damage
    assert damage.frozen_frames >= 4
    assert 0.7 <= damage.coverage <= 1 - damage.frozen_frames / 20


def test_a_film_that_mostly_fails_to_decode_is_refused(tmp_path: Path) -> None:
    """Where most seconds cannot be decoded, the clip fails rather than tell of one frame."""
    path = write_film(tmp_path / "film.mp4", replace(MUTE, gop_s=10.0))
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4 + len(data) // 5
    end = data.index(b"moov") - 8
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)
    with pytest.raises(MediaError) as refused:
        make(path, tmp_path)
    assert refused.value.code == FailureCode.UNDECODABLE
