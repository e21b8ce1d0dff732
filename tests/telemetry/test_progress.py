"""The progress display on a terminal, elsewhere and in the log."""

import os
import pty
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from select import select
from typing import TextIO

import anyio
import pytest

from captionfleet.telemetry import Tally, show_progress

pytestmark = pytest.mark.anyio

_END = "<end>"


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal of some width, and what was written to it."""

    stream: TextIO
    screen: int

    def shown(self) -> str:
        """Everything written by now; a terminal may hand it over in pieces."""
        print(_END, end="", file=self.stream, flush=True)
        read = ""
        while _END not in read:
            assert select([self.screen], [], [], 10)[0], f"the terminal stops after {read!r}"
            read += os.read(self.screen, 2**16).decode()
        return read


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    screen, line = pty.openpty()
    termios.tcsetwinsize(line, (40, request.param))
    with os.fdopen(line, "w") as stream:
        yield Terminal(stream, screen)
    os.close(screen)


def half_way() -> Tally:
    """A run with four clips of eight done."""
    return Tally(
        planned=8, planned_total=8, captioned=3, failed=1, in_flight=2, waiting_for="d1 scaling up"
    )


@pytest.mark.parametrize("terminal", [150], indirect=True)
async def test_bar_on_a_terminal(terminal: Terminal) -> None:
    """A terminal shows a bar with what is done, failed, in flight and waited for."""
    async with show_progress(half_way(), terminal.stream):
        await anyio.lowlevel.checkpoint()
    shown = terminal.shown()
    assert "50%|" in shown
    assert "4/8" in shown
    assert "1 failed, 0 preparing, 2 in flight" in shown
    assert "waiting: d1 scaling up" in shown


@pytest.mark.parametrize("terminal", [0], indirect=True)
async def test_lines_on_a_terminal_without_a_width(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal that does not know its width, as in a container, gets plain lines."""
    monkeypatch.setattr("captionfleet.telemetry.progress._PLAIN_EVERY_S", 0.01)
    async with show_progress(half_way(), terminal.stream):
        await anyio.sleep(0.1)
    assert " 4/8 clips, 1 failed, 0 preparing, 2 in flight" in terminal.shown()
