"""A real Ray cluster of nodes on this machine, started and stopped by the tests."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.command import parent_of
from tests.support.preparing import WORKER

RAY = Path(sys.executable).with_name("ray")
START_S = 180
STORE_BYTES = 80_000_000  # the least that Ray takes
_COMMON = [
    "--num-cpus=1",
    f"--object-store-memory={STORE_BYTES}",
    "--disable-usage-stats",
    "--min-worker-port=0",  # any free ones, since other programs of this machine have ports, too
    "--max-worker-port=0",
]


@dataclass(slots=True)
class RayCluster:
    """A head on 127.0.0.1, and further nodes on 127.0.0.2 and so on, of one CPU each."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        """What a run connects to."""
        return f"127.0.0.1:{self.port}"

    def start_head(self) -> None:
        """Start the first node."""
        head = ["--head", f"--port={self.port}", "--node-ip-address=127.0.0.1"]
        self._start([*head, "--include-dashboard=false", f"--temp-dir={self.folder}"], {}, [])

    def add_node(
        self,
        number: int,
        environment: Mapping[str, str] | None = None,
        within: list[str] | None = None,
    ) -> int:
        """Start a node on 127.0.0.NUMBER, return its raylet; `within` comes before the command."""
        place = [f"--address={self.address}", f"--node-ip-address=127.0.0.{number}"]
        before = set(self._raylets())
        self._start(place, environment or {}, within or [])
        (raylet,) = set(self._raylets()) - before
        return raylet

    def kill(self, raylet: int) -> None:
        """Take a node away at once; its processes end with it."""
        os.kill(raylet, signal.SIGKILL)

    def stop(self) -> None:
        """End every process of the cluster, and of it alone."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline_s = time.monotonic() + 30
        while self.processes() and time.monotonic() < deadline_s:
            time.sleep(0.05)

    def _start(
        self, arguments: list[str], environment: Mapping[str, str], within: list[str]
    ) -> None:
        ended = subprocess.run(
            [*within, sys.executable, RAY, "start", *arguments, *_COMMON],
            env=os.environ | environment | {"RAY_USAGE_STATS_ENABLED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=START_S,
        )
        if ended.returncode:
            said = ended.stdout.decode(errors="replace").strip()
            raise RuntimeError(f"ray start ended with {ended.returncode}: {said[-2000:]}")

    def _raylets(self) -> Iterator[int]:
        return (pid for pid in self.processes() if b"/raylet/raylet\0" in _command(pid))

    def processes(self) -> list[int]:
        """Those with the cluster's own folder or port in their command line, and their children."""
        marks = (os.fsencode(self.folder), f":{self.port}".encode())
        found = [pid for pid in _pids() if any(mark in _command(pid) for mark in marks)]
        return [pid for pid in _with_children(found) if pid != os.getpid()]

    def workers(self, raylet: int | None = None) -> list[int]:
        """The program's worker processes on all nodes, or on the one of this raylet."""
        within = self.processes() if raylet is None else _with_children([raylet])
        return [pid for pid in within if WORKER in _command(pid)]


def _pids() -> list[int]:
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]


def _with_children(roots: list[int]) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid in _pids():
        children.setdefault(parent_of(pid) or 0, []).append(pid)
    found, waiting = set(), list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return sorted(found)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """A running head; whatever was added is stopped with it."""
    # The paths of Ray's sockets must be short.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    cluster = RayCluster(folder, _free_port())
    try:
        cluster.start_head()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
