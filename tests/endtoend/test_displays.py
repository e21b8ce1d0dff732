"""The progress of the commands beside run, on a terminal."""

import os
import pty
import re
import termios
from pathlib import Path
from select import select

import anyio.from_thread
import pytest

from captionfleet.cli import run_command_line
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.run_folder import caption_record, write_run_folder
from tests.support.screen import Screen, on_terminal

CLIPS = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An output folder."""
    first = caption_record()
    captions = (first | {"clip_id": f"{number:032x}", "path": ""} for number in range(CLIPS))
    run = {"ended": "complete"}
    return write_run_folder(tmp_path / "captions", captions, run=run)


@pytest.mark.parametrize(
    ("command", "doing"),
    [
        (("merge", "--out", "out"), ("reading 1 folder", "writing 1 folder")),
        (("export", "--all", "--to", "jsonl"), ("looking for the films", "writing jsonl")),
    ],
)
def test_blocking_work_shows_what_it_is_at(
    command: tuple[str, ...], doing: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work that takes its time has a bar, and below it what is done; --quiet shows nothing."""
    monkeypatch.setattr("captionfleet.telemetry.steps._QUIET_S", 0.0)  # however fast it is
    monkeypatch.setattr("captionfleet.telemetry.steps._EVERY_S", 0.01)
    monkeypatch.chdir(folder.parent)
    end, line = pty.openpty()
    termios.tcsetwinsize(line, (40, 80))
    with os.fdopen(line, "w") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        assert run_command_line([*command, str(folder)]) == 0
        stream.write("<end>")
        stream.flush()
        drawn = ""
        while "<end>" not in drawn:
            assert select([end], [], [], 10)[0], drawn
            drawn += os.read(end, 1 << 16).decode()
        assert run_command_line([*command, str(folder), "--quiet"]) == 0
        assert not select([end], [], [], 0)[0]
    os.close(end)
    (screen := Screen(80)).feed(drawn.removesuffix("<end>"))
    assert all(f"     {words}" in drawn for words in doing), drawn
    assert re.match(r"100%\|", screen.lines[0])
    assert (screen.overflowed, "".join(screen.lines[1:]).strip()) == ([], "")


def test_a_bench_shows_the_load(tmp_path: Path) -> None:
    """The load and its least requests stand there; each result stands above, and no bar stays."""
    arguments = (
        *("bench", "--model", "m", "--in-flight", "2", "--seconds", "0.5", "--requests", "10"),
        *("--generate", "2", "--clip-seconds", "2"),
    )
    options = StandinOptions(service_time_s=0.1, watch_media=False)
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(options)) as standin,
        on_terminal(
            (*arguments, "--base-url", standin.base_url), columns=80, folder=tmp_path
        ) as run,
    ):
        run.until(lambda shown: re.search(r"/≥\d+ requests.*\n +d1: 2 in flight, 0 errors", shown))
        assert run.ended() == 0, run.screen.text
    lines = [line.rstrip() for line in run.screen.lines]
    assert any(re.match(r"d1: 2 in flight: \S+ clips/s", line) for line in lines)
    assert not any("requests" in line and "|" in line for line in lines)
