"""A terminal that remembers what it shows, and a command that runs on it."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_ROWS = 50
_CONTROL = re.compile("\x1b\\[([0-9;?]*)([A-Za-z])")
DEADLINE_S = 120.0


@dataclass(slots=True)
class Screen:
    """Lines as a person sees them; `overflowed` counts lines that went on past the last column."""

    columns: int
    lines: list[str] = field(default_factory=lambda: [""])
    overflowed: list[str] = field(default_factory=list)
    row: int = 0
    column: int = 0
    _rest: str = ""

    def feed(self, written: str) -> None:
        """Take what was written to the terminal."""
        written, self._rest = self._rest + written, ""
        at = 0
        while at < len(written):
            if written[at] == "\x1b":
                found = _CONTROL.match(written, at)
                if found is None:
                    self._rest = written[at:]
                    return
                self._control(found[1], found[2])
                at = found.end()
            else:
                self._put(written[at])
                at += 1

    @property
    def text(self) -> str:
        """Everything on it, and what has scrolled away."""
        return "\n".join(self.lines)

    def _control(self, numbers: str, letter: str) -> None:
        if letter == "A":
            self.row = max(0, self.row - int(numbers or 1))
        elif letter == "K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        else:
            assert letter in "mhl", f"\\e[{numbers}{letter}"

    def _put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row += 1
            self.lines += [""] * (self.row + 1 - len(self.lines))
        else:
            if self.column == self.columns:
                self.overflowed.append(self.lines[self.row])
                self._put("\r")
                self._put("\n")
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
            self.column += 1


@dataclass(slots=True)
class OnTerminal:
    """A command whose terminal is a screen."""

    process: "subprocess.Popen[bytes]"
    screen: Screen
    _master: int
    raw: str = ""
    _frames: deque[str] = field(default_factory=deque)

    def until(self, holds: Callable[[str], object], within_s: float = DEADLINE_S) -> str:
        """Read on until the screen shows it; returns what it shows then.

        What it showed for a moment counts, even if several frames are read at once.
        """
        end_s = time.monotonic() + within_s
        while not holds(self.screen.text):
            left_s = end_s - time.monotonic()
            assert left_s > 0, f"not shown within {within_s:g} s:\n{self.screen.text}"
            is_there = bool(self._frames) or self._read(min(left_s, 0.2))
            assert is_there, f"ended without it:\n{self.screen.text}"
            if self._frames:
                self.screen.feed(self._frames.popleft())
        return self.screen.text

    def ended(self, within_s: float = DEADLINE_S) -> int:
        """Read to the end; returns the exit code."""
        end_s = time.monotonic() + within_s
        while self._read(0.2):
            assert time.monotonic() < end_s, self.screen.text
        while self._frames:
            self.screen.feed(self._frames.popleft())
        return self.process.wait(within_s)

    def press_ctrl_c(self) -> None:
        """As somebody at the keyboard does: the terminal echoes it and signals the group."""
        os.write(self._master, b"\x03")

    def hang_up(self, within_s: float = DEADLINE_S) -> int:
        """Close the window; returns the exit code."""
        os.close(self._master)
        self._master = os.open(os.devnull, os.O_RDONLY)
        return self.process.wait(within_s)

    def _read(self, within_s: float) -> bool:
        if not select.select([self._master], [], [], within_s)[0]:
            return True
        try:
            piece = os.read(self._master, 1 << 16)
        except OSError:  # the other end is closed
            return False
        self.raw += (words := piece.decode(errors="replace"))
        self._frames += re.split("(?=\r)", words)  # before the cursor goes back, a line is whole
        return bool(piece)


@contextmanager
def on_terminal(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    columns: int,
    folder: Path,
    variables: Mapping[str, str] | None = None,
) -> Iterator[OnTerminal]:
    """Run the command with a terminal of its own; what is left of it at the end is killed."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (_ROWS, columns))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "LANG": "C.UTF-8",
        "TERM": "xterm",
    } | dict(variables or {})
    start = "import os, sys, fcntl, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    start += "os.execv(sys.executable, [sys.executable, '-m', 'captionfleet', *sys.argv[1:]])"
    process = subprocess.Popen(
        [sys.executable, "-c", start, *map(os.fspath, arguments)],
        stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment,
    )  # fmt: skip
    os.close(slave)
    run = OnTerminal(process, Screen(columns), master)
    try:
        yield run
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        os.close(run._master)
