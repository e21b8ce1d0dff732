"""The command in the process of the test, in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from captionfleet.cli import run_command_line
from tests.support.command import Ended


@pytest.fixture
def plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Run `captionfleet plan` with these arguments."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        return Ended(run_command_line(["plan", *arguments]), *capsys.readouterr())

    return run
