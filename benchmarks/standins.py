"""Starts stand-in deployments as processes of their own, as their users would."""

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

_START_S = 20
_END_S = 10


@dataclass(slots=True)
class StandinProcess:
    """One stand-in; killed and started again it keeps its port."""

    port: int
    flags: Sequence[str]
    process: "subprocess.Popen[str] | None" = None

    @property
    def base_url(self) -> str:
        """What a client puts before /chat/completions."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        command = [sys.executable, "-m", "captionfleet", "serve", "--port", str(self.port)]
        watching = [] if "--watch-media" in self.flags else ["--no-watch-media"]
        self.process = subprocess.Popen(
            [*command, *watching, *self.flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None  # noqa: S101 - a pipe was asked for
        if self.process.stdout.readline().strip() != self.base_url:
            raise RuntimeError("the stand-in did not start")

    def kill(self) -> None:
        """Kill it, requests in flight and all."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.communicate(timeout=_END_S)
            self.process = None

    def stats(self) -> dict[str, Any]:
        """What it was asked so far."""
        url = self.base_url.removesuffix("/v1") + "/stats"
        with urllib.request.urlopen(url, timeout=_START_S) as answer:  # noqa: S310 - loopback
            told: dict[str, Any] = json.load(answer)
            return told


@contextmanager
def standins(*flags: Sequence[str]) -> Iterator[list[StandinProcess]]:
    """One stand-in for each set of flags, until the block ends, be it by SIGTERM."""
    if threading.current_thread() is threading.main_thread():  # no other one sets handlers
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        started = []
        for own_flags in flags:
            one = StandinProcess(_free_port(), own_flags)
            stack.callback(one.kill)
            one.start()
            started.append(one)
        yield started


def flags(**settings: float | str | Sequence[str]) -> list[str]:
    """Flags of `serve` from keywords: slots=4 is --slots 4."""
    words = []
    for name, value in settings.items():
        values = [value] if isinstance(value, str | int | float) else value
        for one in values:
            words += [f"--{name.replace('_', '-')}", str(one)]
    return words


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
