"""Standard streams that are full, closed or that nobody reads: they cost no caption."""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import orjson
import pytest
from anyio.abc import Process

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from captionfleet.system.standard_streams import LenientFile
from tests.support.job_file import asking
from tests.support.output import Output
from tests.support.tiny_films import Library

DEADLINE_S = 120.0
PIPE_BYTES = 1 << 16


def shell(redirected: str, *words: str | Path) -> list[str]:
    """The command under a shell that puts its streams elsewhere."""
    program = f'exec "$0" -m captionfleet "$@" {redirected}'
    return ["sh", "-c", program, sys.executable, *map(str, words)]


@pytest.mark.anyio
async def test_run_outlives_its_log(library: Library, tmp_path: Path, output: Output) -> None:
    """A run whose log has no space and whose standard output is closed captions as any other."""
    async with serving(StandinOptions(watch_media=False)) as standin:
        words = (*asking(standin.base_url, tmp_path), "--store", library.store)
        out = ("--out", tmp_path / "out", "--log-json")
        run = shell("2>/dev/full >&-", "run", library.films[0], *words, *out)
        with anyio.fail_after(DEADLINE_S):
            ended = await anyio.run_process(run, check=False, cwd=tmp_path)
    assert ended.returncode == 0
    assert output.settled_run()["captioned"] == 1


@contextmanager
def stalled(kind: str) -> Iterator[int]:
    """A pipe or a terminal that takes nothing more, for its reader stands still."""
    reading, writing = os.pipe() if kind == "pipe" else os.openpty()
    if kind == "terminal":
        fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"x" * 512):
            pass
    os.set_blocking(writing, True)
    try:
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


@asynccontextmanager
async def started(folder: Path, *words: str | Path, stderr: int) -> AsyncIterator[Process]:
    """The command with its log put there; it is killed at the end of the block."""
    program = [sys.executable, "-m", "captionfleet", *map(str, words)]
    async with await anyio.open_process(program, stderr=stderr, cwd=folder) as process:
        with anyio.fail_after(DEADLINE_S):
            try:
                yield process
            finally:
                if process.returncode is None:
                    process.kill()


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "log"), [("pipe", "--log-json"), ("terminal", "--stream")])
async def test_log_that_is_not_read_holds_no_caption_up(
    kind: str, log: str, library: Library, tmp_path: Path, output: Output
) -> None:
    """A run whose log or progress bar cannot be written, for its reader sleeps, ends as any."""
    async with serving(StandinOptions(watch_media=False)) as standin:
        words = (*asking(standin.base_url, tmp_path), "--store", library.store)
        run = ("run", library.films[0], *words, "--out", tmp_path / "out", log)
        with stalled(kind) as stderr:
            async with started(tmp_path, *run, stderr=stderr) as process:
                assert await process.wait() == 0
    assert output.settled_run()["captioned"] == 1


@pytest.mark.anyio
async def test_log_that_is_not_read_holds_no_signal_up(
    library: Library, tmp_path: Path, output: Output
) -> None:
    """A run whose log stands still finishes what is in flight at the first signal, and ends."""
    options = StandinOptions(slots=1, service_time_s=1.0, watch_media=False)
    async with serving(options) as standin:
        words = (*asking(standin.base_url, tmp_path), "--store", library.store)
        run = ("run", *library.films[:9], *words, "--out", tmp_path / "out", "--max-in-flight", "1")
        with stalled("pipe") as stderr:
            async with started(tmp_path, *run, stderr=stderr) as process:
                await standin.ledger.until(lambda ledger: ledger.serving == 1)
                process.send_signal(signal.SIGTERM)
                assert await process.wait() == 128 + signal.SIGTERM
    assert output.run["ended"] == "signal"
    assert output.run["captioned"] == len(output.captions) >= 1


@pytest.mark.parametrize("form", [b"line %d\n", b'{"event":"line %d"}\n'])
def test_dropped_lines_are_counted(form: bytes) -> None:
    """Once the log is read again, a line in its own form says how many are missing."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as reader, os.fdopen(writing, "wb") as written:
        log = LenientFile(written.fileno(), patience_s=0)
        padded = form[:-1] + b" " * 900 + b"\n"
        count = 1000  # more than the pipe and the queue hold
        for number in range(count):
            log.write(padded % number)
        said = b""
        while len(said) < PIPE_BYTES * 2:  # that there is room again
            said += reader.read(PIPE_BYTES)
        log.write(form[:1] + b" the end\n")
        while not said.endswith(b"the end\n"):
            said += reader.read(PIPE_BYTES)
    lines = said.splitlines()
    notices = [line for line in lines if b"lines dropped" in line]  # twice where the writer got on
    dropped = sum(int("".join(filter(str.isdigit, line.decode()))) for line in notices)
    kept = [line for line in lines if b"line " in line]
    assert len(kept) + dropped == count
    assert dropped > 0
    assert {line.startswith(b"{") for line in notices} == {form.startswith(b"{")}


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    """An output folder with more failures than a pipe holds, one with a name beyond ASCII."""
    line = {"stage": "workers", "code": "not_video", "detail": "x" * 200, "attempts": 0}
    lines = [
        orjson.dumps(line | {"clip_id": f"{number:032x}", "source": f"café {number}.mp4"})
        for number in range(500)
    ]
    (tmp_path / "failures.jsonl").write_bytes(b"\n".join([*lines, b""]))
    return tmp_path


@pytest.mark.parametrize(
    ("redirected", "exit_code", "words"),
    [
        ("| head -n 1 >/dev/null", 0, ""),
        (">/dev/full", 3, "captionfleet: cannot write to standard output: No space left"),
    ],
)
def test_list_that_nobody_takes(
    redirected: str, exit_code: int, words: str, failed: Path, tmp_path: Path
) -> None:
    """A reader that has seen enough is fine; a list that is not written is exit code 3."""
    told = tmp_path / "told"
    program = f'("$0" -m captionfleet failures "$1"; echo $? >"$2") {redirected}'
    listed = ["sh", "-c", program, sys.executable, str(failed), str(told)]
    ended = subprocess.run(listed, capture_output=True, check=False, timeout=DEADLINE_S)
    assert int(told.read_text()) == exit_code
    assert ended.stderr.decode().startswith(words)
    assert "Traceback" not in ended.stderr.decode()


def test_names_beyond_the_encoding(failed: Path) -> None:
    """A name that the terminal's encoding cannot show is shown by its numbers."""
    listed = shell("", "failures", failed)
    ended = subprocess.run(
        listed,
        capture_output=True,
        check=True,
        timeout=DEADLINE_S,
        env={"PYTHONIOENCODING": "ascii"},
    )
    assert b"caf\\xe9 0.mp4" in ended.stdout
