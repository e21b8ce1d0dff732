"""A film for the tests of packets."""

from pathlib import Path

import pytest

from captionfleet.standin.films.film import write_film
from tests.support.odd_films import SMALL


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds with sound: prepared in a moment."""
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", SMALL)
