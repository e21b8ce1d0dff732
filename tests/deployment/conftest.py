"""What tests of deployments share: films, an environment, a control plane in a thread."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from captionfleet.cli import run_command_line
from captionfleet.deployment.lifecycle.reaping import reap
from captionfleet.deployment.plane.client import open_client
from captionfleet.standin.plane.record import StandinPlane
from captionfleet.standin.plane.server import serving_plane
from tests.deployment.planes import ACCOUNT, KEY, plane_options
from tests.deployment.scripted_plane import SHORT
from tests.support.command import Command, CommandHere, Ended
from tests.support.known_films import known_library
from tests.support.output import Output
from tests.support.tiny_films import Library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The films of this session, with a store that holds all of them."""
    return known_library(tmp_path_factory)


@pytest.fixture
def command(tmp_path: Path, library: Library) -> Command:
    """The command, run in the test's own folder, with the media of the library at hand."""
    return Command(tmp_path, is_forked=True, cache=library.cache)


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """The folder `out` in the test's own folder."""
    return Output(tmp_path / "out")


@pytest.fixture
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, an account and a state folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIREWORKS_API_KEY", KEY)
    monkeypatch.setenv("FIREWORKS_ACCOUNT_ID", ACCOUNT)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def served(
    own_environment: None,  # noqa: ARG001 - for what it does
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., StandinPlane]]:
    """Serve control planes in a thread, so that a command may block this one."""
    with ExitStack() as running:
        portal = running.enter_context(start_blocking_portal())

        def serve(**options: object) -> StandinPlane:
            serving = serving_plane(plane_options(**options))
            plane = running.enter_context(portal.wrap_async_context_manager(serving))
            monkeypatch.setenv("FIREWORKS_BASE_URL", plane.api_base)
            return plane

        yield serve


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that look again after milliseconds, in this process."""
    room = "captionfleet.deployment"
    monkeypatch.setattr(f"{room}.console.open_client", partial(open_client, waits=SHORT))
    monkeypatch.setattr(f"{room}.reap_command.reap", partial(reap, waits=SHORT))


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> CommandHere:
    """The command in this process."""

    def run(*arguments: str) -> Ended:
        exit_code = run_command_line(arguments)
        out, err = capsys.readouterr()
        assert KEY not in out + err
        assert not re.search(r"Traceback|Error\(", err)
        return Ended(exit_code, out, err)

    return run
