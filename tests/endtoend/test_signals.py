"""Signals of all kinds: nothing captioned is lost, nothing is paid for twice."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import anyio
import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import Standin, serving
from tests.support.awaited_film import AWAITING, awaited_film, let_settle
from tests.support.command import DEADLINE_S, Command, is_alive, until, workers_of
from tests.support.job_file import write_job
from tests.support.output import Output, answered, check_provenance
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

SLOW = StandinOptions(slots=2, service_time_s=0.3, watch_media=False)
CLIPS = 10
NOHUP = """
import runpy, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
runpy.run_module("captionfleet", run_name="__main__")
"""


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A URL where connections are taken and nothing is ever said."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}/v1"


def arguments(standin: Standin, library: Library, folder: Path, count: int) -> list[str | Path]:
    """A run of the first films, two requests at a time."""
    job = write_job(folder / "job.toml", standin, max_in_flight=2)
    return ["run", *library.films[:count], "--job", job, "--store", library.store, "--out", "out"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_first_signal_finishes_what_is_in_flight(
    number: signal.Signals,
    library: Library,
    command: Command,
    output: Output,
) -> None:
    """A signal starts nothing new, keeps what is in flight, and leaves the rest to the next run."""
    async with serving(SLOW) as standin:
        words = arguments(standin, library, command.folder, CLIPS)
        async with command.started(*words) as running:
            await running.until(lambda: output.line_count() >= 1)
            running.signal_group(number)
            ended = await running.ended()
        run, captions, exit_code = output.run, output.captions, 128 + number
        assert (ended.exit_code, run["exit_code"], run["ended"]) == (exit_code, exit_code, "signal")
        assert "ended by signal" in ended.stdout
        assert "Traceback" not in ended.stderr
        assert run["unfinished"] == run["planned"] - run["captioned"] > 0
        assert not any(record.client_left for record in standin.requests)
        check_provenance(captions, standin)
        assert len(captions) == run["captioned"] == standin.ledger.total
        again = await command(*words)
        assert again.exit_code == 0
        assert output.settled_run()["already_captioned"] == len(captions)
        assert standin.ledger.total == len(output.captions) == CLIPS
        check_provenance(output.captions, standin)


async def test_nohup_run_outlives_its_terminal(
    library: Library, command: Command, output: Output
) -> None:
    """A run that was started with SIGHUP ignored goes on when its terminal closes."""
    nohup = Command(command.folder, ("-c", NOHUP))
    async with serving(SLOW) as standin:
        words = arguments(standin, library, command.folder, 4)
        async with nohup.started(*words) as running:
            await running.until(lambda: output.line_count() >= 1)
            running.signal_group(signal.SIGHUP)
            ended = await running.ended()
    assert (ended.exit_code, output.settled_run()["captioned"]) == (0, 4)


async def test_second_signal_stops_at_once(
    library: Library, command: Command, output: Output
) -> None:
    """A second Ctrl-C breaks requests off; run.json is written and the folder is free again."""
    async with serving(StandinOptions(slots=2, service_time_s=100)) as standin:
        words = arguments(standin, library, command.folder, 4)
        async with command.started(*words) as running:
            with anyio.fail_after(60):
                await standin.ledger.until(lambda ledger: ledger.serving == 2)
            running.signal_group(signal.SIGINT)
            await running.until(lambda: "a second signal stops at once" in running.said[1])
            running.signal_group(signal.SIGINT)
            ended = await running.ended(within_s=60)
        assert (ended.exit_code, "Traceback" in ended.stderr) == (130, False)
        run = output.run
        assert (run["ended"], run["captioned"], run["unfinished"]) == ("signal", 0, run["planned"])
        with anyio.fail_after(60):
            await standin.ledger.until(lambda ledger: ledger.in_flight == 0)
    async with serving(StandinOptions()) as quick:
        words = arguments(quick, library, command.folder, 4)
        assert (await command(*words)).exit_code == 0
    assert output.settled_run()["captioned"] == 4


async def test_signal_before_the_first_request(
    silent_url: str, library: Library, command: Command, output: Output
) -> None:
    """Ctrl-C while the deployments are being asked is exit code 130 and no traceback."""
    job = write_job(command.folder / "job.toml", silent_url)
    async with command.started("run", library.films[0], "--job", job, "--out", "out") as running:
        await running.until((output.folder / "captions.jsonl").exists)
        running.signal_group(signal.SIGINT)
        ended = await running.ended(within_s=60)
    assert (ended.exit_code, "Traceback" in ended.stderr) == (130, False)


async def test_signal_while_what_is_settled_is_read(
    library: Library, command: Command, output: Output
) -> None:
    """A run stopped before its first request says so in run.json and in its last line."""
    output.folder.mkdir()
    same = output.folder / "same.jsonl"
    os.mkfifo(same)  # held up there, as by a million lines
    async with serving(SLOW) as standin:
        words = [*arguments(standin, library, command.folder, CLIPS), "--identity", "content"]
        async with command.started(*words) as running:
            with await held_up(same):
                await running.insist(signal.SIGTERM, "stopping")
            ended = await running.ended()
        assert standin.ledger.total == 0
    assert (ended.exit_code, output.run["ended"], output.run["planned"]) == (143, "signal", 0)
    assert "ended by signal" in ended.stdout


async def held_up(fifo: Path) -> BinaryIO:
    """The other end of what somebody reads, who waits until it is closed."""
    with anyio.fail_after(DEADLINE_S):
        while True:
            with suppress(OSError):
                return os.fdopen(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK), "wb")
            await anyio.sleep(0.02)


async def test_signal_while_the_workers_start(
    library: Library, command: Command, output: Output
) -> None:
    """Ctrl-C reaches worker processes that have only just begun, and does them no harm."""
    async with serving(StandinOptions()) as standin:
        words = arguments(
            standin, replace(library, store=command.folder / "store"), command.folder, 24
        )
        async with command.started(*words) as running:
            await running.until(lambda: bool(running.workers()))
            running.signal_group(signal.SIGINT)
            ended = await running.ended()
    assert (ended.exit_code, "Traceback" in ended.stderr) == (130, False)
    run = output.run
    assert (run["ended"], run["failed"]) == ("signal", 0)
    assert run["unfinished"] > 0


async def test_killed_run_is_continued(library: Library, command: Command, output: Output) -> None:
    """After kill -9 no worker lives on, and the next run ends with one line for each clip."""
    *films, last = library.films[:CLIPS]
    awaited = awaited_film(last, command.folder / "videos")  # until then no worker leaves
    async with serving(SLOW) as standin:
        job = write_job(command.folder / "job.toml", standin, tables=AWAITING, max_in_flight=2)
        store = command.folder / "store"  # which knows no film, so that there are workers
        words = "run", *films, awaited.parent, "--job", job, "--store", store, "--out", "out"
        async with command.started(*words) as running:
            await running.until(lambda: output.line_count() >= 2)
            workers = workers_of(running.process.pid)
            assert workers
            running.send(signal.SIGKILL)
            await running.process.wait()
        await until(lambda: not any(map(is_alive, workers)), within_s=60)
        before = output.captions
        with (output.folder / "captions.jsonl").open("ab") as file:
            file.write(b'{"clip_id":"0123')  # as a power cut may leave it
        let_settle(awaited)
        assert (await command(*words)).exit_code == 0
        run = output.settled_run()
        assert run["torn_lines_repaired"] == 1
        assert output.captions[: len(before)] == before
        assert len({line["source"] for line in output.captions}) == CLIPS
        doubled = len(answered(standin)) - CLIPS
        assert 0 <= doubled <= 2  # those whose answer the kill kept from being written


async def test_answers_that_came_while_the_run_was_stopped_count(
    library: Library, command: Command, output: Output
) -> None:
    """A run that is stopped past its timeout, as by Ctrl-Z, keeps the answers it finds then."""
    async with serving(StandinOptions(slots=2, service_time_s=1.0, watch_media=False)) as standin:
        words = [*arguments(standin, library, command.folder, 2), "--timeout", "3"]
        async with command.started(*words) as running:
            with anyio.fail_after(60):
                await standin.ledger.until(lambda ledger: ledger.serving == 2)
            running.send(signal.SIGSTOP)
            await anyio.sleep(4.0)  # past the timeout
            running.send(signal.SIGCONT)
            ended = await running.ended()
        assert (ended.exit_code, standin.ledger.total) == (0, 2)
    assert [line["attempts"] for line in output.captions] == [1, 1]
