"""What a run looks like on a terminal."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import anyio.from_thread
import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.screen import OnTerminal, on_terminal
from tests.support.tiny_films import Library

CLIPS = 5000


@pytest.fixture(scope="module")
def many(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of 5,000 files, all the same film."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(CLIPS):
        os.link(library.films[0], folder / f"{number:04d}.mp4")
    return folder


@pytest.fixture
def base_url() -> Iterator[str]:
    """A stand-in that answers soon, but hardly all before the files are counted."""
    options = StandinOptions(service_time_s=0.4, slots=64, max_queue=64)
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(options)) as standin,
    ):
        yield standin.base_url


def check_lines(run: OnTerminal, columns: int) -> None:
    """Nothing of the progress is over the width, or glued to something else."""
    bars = [line for line in run.screen.lines if re.match(r" *\d+%", line)]
    assert all(len(line.rstrip()) < columns for line in bars), bars
    # Whatever stands on the line of a bar is the bar's: its percentage comes once, and first.
    assert all(line.count("%") == 1 for line in bars), bars
    logged = [line for line in run.screen.lines if "[warning" in line]
    assert all(re.match(r"\d{4}-", line) for line in logged), logged


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_total_and_eta_stand_there_early(
    columns: int, many: Path, base_url: str, tmp_path: Path
) -> None:
    """Of a run of 5,000 clips total and time left are shown early; Ctrl-C says how to go on.

    Early by what is done, not by the clock, which says little of a busy machine: files are counted
    beside the work, so the count is whole, and the rate known, before a twentieth has its line.
    """
    arguments = ("run", many, "--out", "out", "--base-url", base_url, "--model", "m")
    with on_terminal(arguments, columns=columns, folder=tmp_path) as run:
        run.until(lambda shown: re.search(r"%.* \d+/5,000.* ETA \d", shown))
        run.press_ctrl_c()
        assert run.ended() == 130, run.screen.text
    assert re.search(r"by Ctrl-C \(SIGINT\): \d+ of 5,000 clips captioned", run.raw), run.raw[-900:]
    first = re.search(r"([\d,]+)/5,000(?: clips)?[^\r\n]* ETA \d", run.raw)
    assert first is not None
    assert int(first[1].replace(",", "")) <= CLIPS // 20, first[0]
    check_lines(run, columns)


def test_closed_window_ends_the_run_in_order(many: Path, base_url: str, tmp_path: Path) -> None:
    """What is in flight is still captioned, and the run's figures are written."""
    arguments = ("run", many, "--out", "out", "--base-url", base_url, "--model", "m")
    with on_terminal(arguments, columns=80, folder=tmp_path) as run:
        run.until(lambda shown: re.search(r"%.* [1-9]\d*/5,000", shown))
        assert run.hang_up() == 129
    figures = json.loads((tmp_path / "out" / "run.json").read_bytes())
    lines = (tmp_path / "out" / "captions.jsonl").read_bytes().splitlines()
    assert (figures["ended"], figures["captioned"]) == ("signal", len(lines))


def test_quiet_shows_nothing_of_it(library: Library, base_url: str, tmp_path: Path) -> None:
    """With --quiet there is one line, and no trace of a bar."""
    arguments = ("run", library.films[0], "--out", "out", "--base-url", base_url, "--model", "m")
    with on_terminal((*arguments, "--quiet"), columns=80, folder=tmp_path) as run:
        assert run.ended() == 0, run.screen.text
    assert re.fullmatch(r"captionfleet: 1 captioned, .*\r\n", run.raw), run.raw
