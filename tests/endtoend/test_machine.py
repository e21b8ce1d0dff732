"""A machine that refuses what a run needs: processes, threads, its store, its own folder."""

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from captionfleet.errors import MachineError
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from captionfleet.workers import process
from tests.support.command import Command
from tests.support.job_file import asking
from tests.support.nights import Nights
from tests.support.output import Output, check_provenance
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

NO_THREADS = """
import runpy, threading
def refused(*_):
    raise RuntimeError("can't start new thread")
threading._start_new_thread = refused
runpy.run_module("captionfleet", run_name="__main__")
"""
GONE = """
import os, runpy, shutil, sys
shutil.rmtree(os.getcwd())
runpy.run_module("captionfleet", run_name="__main__")
"""


async def test_store_that_fails_throws_no_paid_answer_away(
    own_films: Callable[[int], Path], command: Command, output: Output
) -> None:
    """Where the media store fails while requests are in flight, their captions are kept."""
    shutil.copytree(own_films(20), command.folder / "videos" / "again")
    store = command.folder / "store"
    async with serving(StandinOptions(slots=2, service_time_s=2.0, watch_media=False)) as standin:
        words = (*asking(standin.base_url, command.folder), "--store", store)
        run = ("run", "videos", *words, "--out", "out", "--max-in-flight", "2", "--workers", "1")
        async with command.started(*run) as running:
            with anyio.fail_after(60):
                await standin.ledger.until(lambda ledger: ledger.serving == 2)
            store.rename(command.folder / "moved")
            store.write_text("no folder")
            ended = await running.ended()
        check_provenance(output.captions, standin)
        assert not any(record.client_left for record in standin.requests)
        assert len(output.captions) == standin.ledger.total >= 2
    assert (ended.exit_code, output.run["exit_code"], output.run["ended"]) == (3, 3, "error")
    assert "media store" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


async def test_program_that_is_gone(
    own_films: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run whose Python is gone says so, with an exit code that no scheduler takes for success."""
    own_films(2)
    nights = Nights(tmp_path, tmp_path / "store")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    async with serving(StandinOptions()) as standin:
        with pytest.raises(MachineError, match="gone is gone: was the installation") as ended:
            await nights.run(standin)
    assert ended.value.exit_code == nights.output.run["exit_code"] == 6
    assert not nights.output.captions


async def test_packages_that_are_gone(
    own_films: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that cannot import its program costs no clip a failure: it ends the run."""
    own_films(2)
    nights = Nights(tmp_path, tmp_path / "store")
    monkeypatch.setattr(process, "_search_path", list)
    async with serving(StandinOptions()) as standin:
        with pytest.raises(MachineError, match="its own files are gone"):
            await nights.run(standin)
    assert not nights.output.failures


@pytest.mark.parametrize(("refusals", "captioned"), [(1, 2), (1000, 0)])
async def test_process_limit(
    refusals: int,
    captioned: int,
    own_films: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that is refused once is asked for again; one that stays refused ends the run."""
    own_films(2)
    nights, granted, left = Nights(tmp_path, tmp_path / "store"), anyio.open_process, [refusals]
    monkeypatch.setattr(process, "_PAUSES_S", (0.01, 0.01))

    async def open_process(*words: Any, **options: Any) -> Process:
        left[0] -= 1
        if left[0] >= 0:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return await granted(*words, **options)

    monkeypatch.setattr(anyio, "open_process", open_process)
    async with serving(StandinOptions()) as standin:
        if captioned:
            assert (await nights.run(standin)).captioned == captioned
            return
        with pytest.raises(MachineError, match="the limit of processes is reached: raise"):
            await nights.run(standin)


async def test_no_thread_to_be_had(library: Library, command: Command) -> None:
    """Where the system starts no thread, the run ends with one line and no traceback."""
    words = ("--base-url", "http://127.0.0.1:9/v1", "--model", "omni", "--out", "out")
    ended = await Command(command.folder, ("-c", NO_THREADS))("run", library.films[0], *words)
    assert ended.exit_code == MachineError.exit_code
    assert ended.complaint.startswith("cannot start a thread: the limit of processes is reached")


async def test_working_directory_that_is_deleted(
    library: Library, tmp_path: Path, output: Output
) -> None:
    """A run that names everything by absolute paths needs no working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    async with serving(StandinOptions()) as standin:
        words = (*asking(standin.base_url, tmp_path), "--store", tmp_path / "store")
        run = ("run", *library.films[:2], *words, "--out", output.folder)
        variables = {
            "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path),
        }  # fmt: skip
        ended = await Command(folder, ("-c", GONE))(*run, variables=variables)
    assert (ended.exit_code, ended.stderr.count("Traceback")) == (0, 0), ended.stderr
    assert output.settled_run()["captioned"] == 2
