"""What whole runs share: films that are made once, a command with a home of its own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from captionfleet.cli import run_command_line
from captionfleet.sender.routing import replicas
from tests.support.command import Command, CommandHere, Ended
from tests.support.output import Output
from tests.support.preparing import clip_of, job_of, prepared
from tests.support.tiny_films import Library, shared_library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The films of this session."""
    return shared_library(tmp_path_factory)


@pytest.fixture(scope="session")
def prepared_library(library: Library) -> Library:
    """The same with every film in the store, so that clips come as fast as they are sent."""
    anyio.run(prepared, job_of(library.store), [clip_of(film) for film in library.films])
    return library


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
    """The command, run in the test's own folder."""
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
    monkeypatch.setitem(replicas._WAITS, replicas.Change.SCALING_UP, (0.05, 1.2, 0.2))


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """The folder `out` in the test's own folder."""
    return Output(tmp_path / "out")
