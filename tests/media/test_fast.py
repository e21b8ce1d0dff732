"""Fast sampling from file to file, to the eye of OpenCV: other frames of the same seconds."""

from dataclasses import replace
from pathlib import Path

import av
import pytest

from captionfleet.standin.films.film import Film, write_film
from tests.support.made import make

FPS = 30
FILM = Film(seconds=4.0, width_px=160, height_px=96, b_frames=2)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_key_frames_are_sent_where_each_second_has_one(tmp_path: Path, codec: str) -> None:
    """Of a film with a key frame a second, those are sent, and their times are told."""
    film = replace(FILM, codec=codec, gop_s=1.0)
    made = make(write_film(tmp_path / "film.mp4", film), tmp_path, sampling="fast")
    assert made.facts.sampling == "fast"
    assert made.facts.frame_times_s == (0.0, 1.0, 2.0, 3.0)
    assert made.numbers() == [0, FPS, 2 * FPS, 3 * FPS]


@pytest.mark.parametrize("gop_s", [2.0, 60.0])
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
def test_every_second_is_shown_by_a_frame_of_its_own(
    tmp_path: Path, ending: str, gop_s: float
) -> None:
    """Seconds without a key frame are shown too, by the frames that the times told say."""
    film = write_film(tmp_path / f"film{ending}", replace(FILM, gop_s=gop_s))
    made = make(film, tmp_path, sampling="fast")
    assert made.numbers() == [round(time_s * FPS) for time_s in made.facts.frame_times_s]
    assert [int(time_s + 0.5) for time_s in made.facts.frame_times_s] == [0, 1, 2, 3]
    assert made.facts.frame_times_s[0] == 0.0


def test_how_a_frame_was_coded_in_the_source_does_not_matter(tmp_path: Path) -> None:
    """Key frames that are sent are coded by what changes between them, as all frames are."""
    film = Film(seconds=6.0, width_px=160, height_px=96, gop_s=1.0)
    made = make(write_film(tmp_path / "film.mp4", film), tmp_path, sampling="fast")
    with av.open(made.video) as sent:
        keys = [packet.is_keyframe for packet in sent.demux() if packet.size]
    assert keys == [True, *[False] * 5]


def test_what_cannot_be_planned_is_sampled_exactly(tmp_path: Path) -> None:
    """Of a codec whose packets are not read, fast takes the frames of exact."""
    film = write_film(tmp_path / "film.wmv", replace(FILM, codec="wmv2", b_frames=0))
    fast, exact = (make(film, tmp_path, sampling=mode) for mode in ("fast", "exact"))
    assert fast.facts.sampling == "fast"
    assert fast.facts.frame_times_s == exact.facts.frame_times_s
    assert fast.numbers() == exact.numbers() == [14, 44, 74, 104]
