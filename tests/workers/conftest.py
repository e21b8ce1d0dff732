"""Films for the tests of the workers."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.standin.films import Film, write_film
from tests.support.odd_films import SMALL


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds with sound: prepared in a moment."""
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", SMALL)


@pytest.fixture(scope="session")
def slow_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that keeps a worker busy for some seconds."""
    film = Film(seconds=30.0, width_px=1280, height_px=720, fps=Fraction(25), codec="mpeg4")
    return write_film(tmp_path_factory.mktemp("slow") / "slow.mp4", replace(film, gop_s=60.0))


@pytest.fixture(scope="session")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of next to nothing."""
    film = replace(SMALL, seconds=12.0, fps=Fraction(2), sounds=())
    return write_film(tmp_path_factory.mktemp("long") / "long.mp4", film)
