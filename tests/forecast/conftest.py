"""The command in the process of the test, in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import run_command_line
from tests.support.command import Ended


@pytest.fixture
def plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Run `captionfleet plan` with these arguments."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        try:
            exit_code = run_command_line(["plan", *arguments])
        except SystemExit as end:
            exit_code = int(str(end.code))
        return Ended(exit_code, *capsys.readouterr())

    return run
