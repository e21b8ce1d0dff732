"""What a command takes, with every process that it starts: wall clock and CPU.

`python -m benchmarks.spent COMMAND ...` runs the command, and prints the figures alone. It adopts
orphans (Linux), so that a worker counts whose parent ended first.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Spent", "spent"]

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of one command, and how it ended."""

    wall_s: float
    cpu_s: float
    exit_code: int


def spent(
    command: Sequence[str | Path],
    deadline_s: float,
    variables: Mapping[str, str] | None = None,
) -> Spent:
    """Run a command to its end; its output goes nowhere.

    Raises:
        subprocess.TimeoutExpired: it took longer than it may.
    """
    printed = subprocess.run(
        [sys.executable, "-m", "benchmarks.spent", *command],
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        check=True,
        timeout=deadline_s,
    )
    return Spent(**json.loads(printed.stdout))


def main() -> None:
    """Run the command of the arguments, wait for all that is left of it, and print the figures."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "orphans cannot be adopted")
    begun_s = time.perf_counter()
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(sys.argv[1:], stdin=nowhere, stdout=nowhere, stderr=nowhere) as process:
        exit_code = process.wait()
    wall_s = time.perf_counter() - begun_s
    try:
        while True:
            os.wait()
    except ChildProcessError:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "exit_code": exit_code}))


if __name__ == "__main__":
    main()
