"""Films for the tests of hostile media."""

import shutil
from pathlib import Path

import pytest

from captionfleet.standin.films.film import write_film
from tests.support.odd_films import SMALL
from tests.support.slow_film import shared_slow_film


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Two seconds with sound, to be changed at will."""
    return write_film(tmp_path / "film.mp4", SMALL)


@pytest.fixture(scope="session")
def untouched_slow_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that keeps a worker busy for a second or more."""
    return shared_slow_film(tmp_path_factory)


@pytest.fixture
def slow_film(tmp_path: Path, untouched_slow_film: Path) -> Path:
    """The same, to be changed meanwhile."""
    return Path(shutil.copy(untouched_slow_film, tmp_path))
