"""What is too large for a request is made smaller, step by step, and the facts say how far."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from captionfleet.errors import FailureCode, MediaError
from captionfleet.standin.films.film import Film, Look, Sound, write_film
from tests.support.made import Made, make

NOISE = Film(
    seconds=6.0, fps=Fraction(2), look=Look(grain=120), codec_options={"crf": "18"},
    sounds=(Sound("tone"),),
)  # fmt: skip


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that no encoder can make small."""
    return write_film(tmp_path_factory.mktemp("noise") / "noise.mp4", NOISE)


@pytest.fixture(scope="module")
def whole(noise: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The noise at the settings asked for."""
    return make(noise, tmp_path_factory.mktemp("whole"))


def test_what_fits_is_left_alone(whole: Made) -> None:
    """Nothing is given up below the limit."""
    assert (whole.facts.crf, whole.facts.height) == (23, 360)


def test_one_byte_less_is_strictly_below(noise: Path, whole: Made, tmp_path: Path) -> None:
    """A payload of exactly the limit is too large, one byte below fits."""
    limit = whole.facts.payload_bytes
    assert make(noise, tmp_path, max_payload_bytes=limit + 1).facts.crf == 23
    assert make(noise, tmp_path, max_payload_bytes=limit).facts.crf > 23


@pytest.mark.parametrize("share", [0.9, 0.6, 0.3, 0.17])
def test_a_payload_is_brought_below_the_limit(
    noise: Path, whole: Made, tmp_path: Path, share: float
) -> None:
    """CRF is given up first, then height; frames, sound and times stay, and the frames decode."""
    limit = int(whole.facts.payload_bytes * share)
    made = make(noise, tmp_path, max_payload_bytes=limit)
    facts = made.facts
    assert limit * 0.3 < facts.payload_bytes < limit
    assert facts.crf > 23
    assert facts.height == 360 or facts.crf == 35
    assert {gray.shape for gray in made.grays()} == {(facts.height, facts.width)}
    assert made.numbers() == whole.numbers()
    assert facts.frame_times_s == whole.facts.frame_times_s
    assert facts.audio_sha256 == whole.facts.audio_sha256
    assert facts.video_bytes == made.video.stat().st_size


@pytest.mark.parametrize("limit", [60_000, 1000])
def test_what_cannot_fit_is_refused(noise: Path, tmp_path: Path, limit: int) -> None:
    """Below what can be given up, or what the sound alone needs, the clip fails for good."""
    with pytest.raises(MediaError) as refused:
        make(noise, tmp_path, max_payload_bytes=limit)
    assert refused.value.code == FailureCode.PAYLOAD_TOO_LARGE


def test_a_tall_clip_keeps_its_shape(tmp_path: Path) -> None:
    """A picture made lower is made narrower as well."""
    tall = replace(NOISE, width_px=180, height_px=320, sounds=())
    path = write_film(tmp_path / "tall.mp4", tall)
    whole = make(path, tmp_path).facts
    facts = make(path, tmp_path, max_payload_bytes=whole.payload_bytes // 6).facts
    assert facts.height < 360
    assert facts.width == pytest.approx(202 * facts.height / 360, abs=1)
