"""What whole runs share: films that are made once, a command with a home of its own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from captionfleet.cli import run_command_line
from captionfleet.sender import open_fleet
from tests.support.command import Command, CommandHere, Ended
from tests.support.known_films import copy_known, known_library
from tests.support.output import Output
from tests.support.sending import QUICK
from tests.support.tiny_films import Library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The films of this session, with a store that holds all of them."""
    return known_library(tmp_path_factory)


@pytest.fixture
def own_films(library: Library, tmp_path: Path) -> Callable[[int], Path]:
    """Make a folder `videos` with copies of the first films, which the library's store knows."""

    def copied(count: int) -> Path:
        folder = tmp_path / "videos"
        folder.mkdir()
        for film in library.films[:count]:
            copy_known(library, film, folder)
        return folder

    return copied


@pytest.fixture
def command(tmp_path: Path, library: Library) -> Command:
    """The command, run in the test's own folder, with the media of the library at hand."""
    return Command(tmp_path, is_forked=True, cache=library.cache)


@pytest.fixture
def cold_command(tmp_path: Path) -> Command:
    """The same with nothing at hand, so that worker processes prepare every clip."""
    return Command(tmp_path, is_forked=True)


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandHere:
    """The command in this process, in the test's own folder: the quick way for long tables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FIREWORKS_API_KEY", raising=False)

    def run(*arguments: str) -> Ended:
        exit_code = run_command_line(arguments)
        return Ended(exit_code, *capsys.readouterr())

    return run


@pytest.fixture
def short_cold_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run of this process look at a deployment that scales up every few milliseconds."""
    monkeypatch.setattr("captionfleet.run.open_fleet", partial(open_fleet, tuning=QUICK))


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """The folder `out` in the test's own folder."""
    return Output(tmp_path / "out")
