"""Films for the tests of the workers."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from captionfleet.standin.films.film import write_film
from tests.support.odd_films import SMALL
from tests.support.slow_film import shared_slow_film, shared_slower_film


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds with sound: prepared in a moment."""
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", SMALL)


@pytest.fixture(scope="session")
def slow_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that keeps a worker busy for a second or more."""
    return shared_slow_film(tmp_path_factory)


@pytest.fixture(scope="session")
def slower_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that no worker gets through before it is killed."""
    return shared_slower_film(tmp_path_factory)


@pytest.fixture(scope="session")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of next to nothing."""
    film = replace(SMALL, seconds=12.0, fps=Fraction(2), sounds=())
    return write_film(tmp_path_factory.mktemp("long") / "long.mp4", film)
