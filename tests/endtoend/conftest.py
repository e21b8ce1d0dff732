"""What whole runs share: films that are made once, a command with a home of its own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.output import Output
from tests.support.tiny_films import Library, write_tiny_films

FILMS = 24


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The films of this session."""
    folder = tmp_path_factory.mktemp("library")
    return Library(write_tiny_films(folder / "films", FILMS), folder / "store")


@pytest.fixture
def own_films(library: Library, tmp_path: Path) -> Callable[[int], Path]:
    """Make a folder `videos` with copies of the first films."""

    def copied(count: int) -> Path:
        folder = tmp_path / "videos"
        folder.mkdir()
        for film in library.films[:count]:
            shutil.copy2(film, folder)
        return folder

    return copied


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The installed command, run in the test's own folder."""
    return Command(tmp_path)


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """The folder `out` in the test's own folder."""
    return Output(tmp_path / "out")
