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

from captionfleet.telemetry import Tally, print_above, show_progress
from tests.support.screen import Screen

pytestmark = pytest.mark.anyio

_END = "<end>"


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal of some width, and what was written to it."""

    stream: TextIO
    end: int
    columns: int

    def shown(self) -> Screen:
        """What it shows by now; a terminal may hand it over in pieces."""
        print(_END, end="", file=self.stream, flush=True)
        read = ""
        while _END not in read:
            assert select([self.end], [], [], 10)[0], f"the terminal stops after {read!r}"
            read += os.read(self.end, 2**16).decode()
        screen = Screen(self.columns)
        screen.feed(read.removesuffix(_END))
        return screen


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    screen, line = pty.openpty()
    termios.tcsetwinsize(line, (40, request.param))
    with os.fdopen(line, "w") as stream:
        yield Terminal(stream, screen, request.param)
    os.close(screen)


def half_way() -> Tally:
    """A run with four clips of eight done."""
    return Tally(
        planned=8, planned_total=8, captioned=3, failed=1, in_flight=2, waiting_for="d1: scaling up"
    )


@pytest.mark.parametrize("terminal", [40, 80, 200], indirect=True)
async def test_two_lines_that_fit(terminal: Terminal) -> None:
    """A terminal shows a bar, and below it what failed, what is in flight and what is waited for.

    A narrow one shows the most important of it in one line.
    """
    async with show_progress(half_way(), terminal.stream):
        await anyio.sleep(0.5)
        screen = terminal.shown()
    assert screen.overflowed == []
    first, *below = (line.rstrip() for line in screen.lines if line.strip())
    assert first.startswith(" 50%")
    assert "4/8" in first
    if terminal.columns == 40:
        assert (below, "waiting: d1: scaling up" in first) == ([], True)
    else:
        assert "|" in first
        assert len(first) > terminal.columns - 30  # the bar takes what room there is
        assert below == [
            "     1 failed, 0 preparing, 2 in flight, 0 tokens/s, waiting for d1: scaling up"
        ]


@pytest.mark.parametrize("terminal", [80], indirect=True)
async def test_words_go_above_the_bar(terminal: Terminal) -> None:
    """What is logged meanwhile stands on lines of its own, above, and the bar is drawn once."""
    async with show_progress(half_way(), terminal.stream):
        await anyio.sleep(0.3)
        for number in range(3):
            print_above(f"warning {number}", terminal.stream)
            await anyio.sleep(0.3)
    lines = [line.rstrip() for line in terminal.shown().lines if line.strip()]
    assert lines[:3] == ["warning 0", "warning 1", "warning 2"]
    assert len(lines) == 4
    assert lines[3].startswith(" 50%|")


@pytest.mark.parametrize("terminal", [0], indirect=True)
async def test_lines_on_a_terminal_without_a_width(terminal: Terminal) -> None:
    """A terminal that does not know its width, as in a container, gets plain lines."""
    every = {"look_every_s": 0.01, "line_every_s": 0.01}
    async with show_progress(half_way(), terminal.stream, **every):
        await anyio.sleep(0.1)
    screen = Terminal(terminal.stream, terminal.end, 500).shown()
    assert " 4/8 clips (50%), 1 failed, 0 preparing, 2 in flight" in screen.text
