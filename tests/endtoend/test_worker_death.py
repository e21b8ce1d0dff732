"""A worker process that dies in the middle of a run."""

import os
import signal
from contextlib import suppress
from functools import partial

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command, Running, is_alive
from tests.support.job_file import asking
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
    async with serving(StandinOptions()) as standin:
        words = (*asking(standin.base_url, cold_command.folder), "--out", "out")
        async with cold_command.started(
            "run", *library.films[:CLIPS], *words, "--workers", "1"
        ) as running:
            killed: set[int] = set()
            for lines in (0, 2):
                await running.until(partial(strike, running, output, lines, killed))
            ended = await running.ended()
        run = output.settled_run()
        check_provenance(output.captions, standin)
    assert "Traceback" not in ended.stderr
    assert run["planned"] == CLIPS
    assert run["captioned"] >= CLIPS - len(killed)
    assert set(output.codes.values()) <= {"worker_crashed"}
    assert ended.exit_code == (1 if run["failed"] else 0)
    assert not any(map(is_alive, killed))
