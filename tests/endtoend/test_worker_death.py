"""A worker process that dies in the middle of a run."""

import os
import signal
from contextlib import suppress
from functools import partial

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.awaited_film import AWAITING, awaited_film, let_settle
from tests.support.command import Command, Running, is_alive
from tests.support.job_file import write_job
from tests.support.output import Output, check_provenance
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

CLIPS = 12


def strike(running: Running, output: Output, lines: int, killed: set[int]) -> bool:
    """Kill a worker once there are so many lines; whether there was one to be killed."""
    if output.line_count() < lines:
        return False
    for worker in set(running.workers()) - killed:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
            killed.add(worker)
            return True
    return False


async def test_killed_worker_costs_at_most_its_clip(
    library: Library, cold_command: Command, output: Output
) -> None:
    """Workers killed at the start and in between are replaced, and every clip has its line."""
    *films, last = library.films[:CLIPS]
    awaited = awaited_film(last, cold_command.folder / "videos")  # until then no worker leaves
    async with serving(StandinOptions()) as standin:
        job = write_job(cold_command.folder / "job.toml", standin, tables=AWAITING)
        words = "run", *films, awaited.parent, "--job", job, "--out", "out", "--workers", "1"
        async with cold_command.started(*words) as running:
            killed: set[int] = set()
            for lines in (0, 2):
                await running.until(partial(strike, running, output, lines, killed))
            await running.until(lambda: output.line_count() >= len(films) - len(killed))
            running.send(signal.SIGTERM)
            stopped = await running.ended()
        let_settle(awaited)
        ended = await cold_command(*words)
        run = output.settled_run()
        check_provenance(output.captions, standin)
    assert "Traceback" not in stopped.stderr + ended.stderr
    assert run["already_captioned"] + run["planned"] + run["standing_failures"] == CLIPS
    assert len(output.captions) >= CLIPS - len(killed)
    assert set(output.codes.values()) <= {"worker_crashed"}
    assert ended.exit_code == (1 if run["failed"] else 0)
    assert not any(map(is_alive, killed))
