"""Runs that end early because somebody asked for it, and one that meets its limits."""

import os
import signal
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import anyio
import orjson
import pytest

from captionfleet.standin.faults import parse_fault
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import asking, write_job
from tests.support.nights import Nights
from tests.support.output import Output, answered, check_provenance
from tests.support.replica import answer, completion, scripted
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

CLIPS = 12
# Too slow for all clips before the limit, and fast enough for the first on a busy machine.
SLOW = StandinOptions(slots=2, service_time_s=0.8, completion_tokens=50)
LIMIT_S = 4


@pytest.fixture
def nights(library: Library, tmp_path: Path) -> Nights:
    return Nights(tmp_path, library.store, max_in_flight=1)


def soon() -> str:
    """A deadline that comes within a second before the limit."""
    return (datetime.now() + timedelta(seconds=LIMIT_S)).strftime("%H:%M:%S")  # noqa: DTZ005 - local


@pytest.mark.parametrize(
    ("limit", "limits"),
    [
        ("deadline", soon),
        ("max_hours", lambda: LIMIT_S / 3600),
        ("max_tokens_total", lambda: 50),
    ],
)
async def test_run_stops_at_its_limit_and_is_continued(
    limit: str,
    limits: Callable[[], object],
    own_films: Callable[[int], Path],
    nights: Nights,
) -> None:
    """At a limit nothing new begins, what is in flight is kept, and the next run does the rest."""
    own_films(CLIPS)
    async with serving(SLOW) as standin:
        stopped = await nights.run(standin, limits={limit: limits()})
        assert (stopped.exit_code, stopped.ended, stopped.limit) == (5, "limit", limit)
        assert 0 < stopped.captioned < CLIPS
        assert nights.output.run["limit"] == limit
        assert f"ended by limit {limit}" in stopped.mail_line()
        assert len(answered(standin)) == stopped.captioned
        assert not any(record.client_left for record in standin.requests)
    async with serving(StandinOptions()) as quick:
        rest = await nights.run(quick)
        assert (rest.exit_code, rest.limit, rest.ended) == (0, None, "complete")
        assert standin.ledger.total + quick.ledger.total == CLIPS
        check_provenance(nights.output.captions, standin, quick)
    assert len(list((nights.output.folder / "runs").iterdir())) >= 1


async def test_run_that_only_fails_is_stopped(
    own_films: Callable[[int], Path], nights: Nights
) -> None:
    """After so many failures a run gives up; the clips it left stand nowhere."""
    own_films(CLIPS)
    broken = StandinOptions(slots=1, service_time_s=0.1, faults=(parse_fault("400"),))
    async with serving(broken) as standin:
        stopped = await nights.run(standin, limits={"max_failures": 3})
    assert (stopped.exit_code, stopped.limit) == (5, "max_failures")
    assert 3 <= stopped.failed < CLIPS
    assert len(nights.output.failures) == stopped.failed


async def test_tokens_of_answers_without_caption_reach_the_limit(
    own_films: Callable[[int], Path], nights: Nights
) -> None:
    """A model whose thinking uses up max_tokens spends no more than the limit allows."""
    own_films(CLIPS)
    message = {"role": "assistant", "content": None, "reasoning_content": "hm"}
    choice = {"index": 0, "message": message, "finish_reason": "length"}
    async with scripted() as replica:
        replica.default = answer(200, completion(choices=[choice]))
        stopped = await nights.run(cast("Any", replica), limits={"max_tokens_total": 200})
    asked = [seen for seen in replica.seen if seen.method == "POST"]
    assert (stopped.exit_code, stopped.limit, stopped.captioned) == (5, "max_tokens_total", 0)
    assert 3 <= len(asked) < CLIPS
    assert stopped.prompt_tokens == nights.output.run["prompt_tokens"] == 70 * len(asked)
    assert set(nights.output.codes.values()) == {"empty_caption"}


async def test_limit_that_nothing_was_left_for_is_no_limit(
    own_films: Callable[[int], Path], nights: Nights
) -> None:
    """A run whose last clip reaches the limit is complete."""
    own_films(1)
    async with serving(StandinOptions()) as standin:
        done = await nights.run(standin, limits={"max_tokens_total": 1})
    assert (done.exit_code, done.ended, done.limit) == (0, "complete", None)


async def test_drain_has_an_end(library: Library, tmp_path: Path, command: Command) -> None:
    """After one signal a run waits drain_s for what is in flight and no longer."""
    async with serving(StandinOptions(slots=1, service_time_s=100)) as standin:
        job = write_job(tmp_path / "job.toml", standin, tables={"limits": {"drain_s": 0.5}})
        words = ("run", library.films[0], "--job", job, "--store", library.store, "--out", "out")
        async with command.started(*words) as running:
            with anyio.fail_after(60):
                await standin.ledger.until(lambda ledger: ledger.serving == 1)
            running.send(signal.SIGTERM)
            ended = await running.ended(within_s=60)
    assert ended.exit_code == 143
    run = Output(tmp_path / "out").run
    assert (run["ended"], run["exit_code"], run["unfinished"]) == ("signal", 143, 1)


async def test_two_runs_at_once(
    own_films: Callable[[int], Path], nights: Nights, command: Command
) -> None:
    """One works, the other one ends at once with exit code 3 and the holder's name."""
    own_films(2)
    async with serving(StandinOptions(service_time_s=100)) as standin:
        where = (*asking(standin.base_url, command.folder), "--store", nights.store)
        words = ("run", "videos", "--out", "out", *where)
        async with command.started(*words) as running:
            with anyio.fail_after(60):
                await standin.ledger.until(lambda ledger: ledger.serving == 2)
            second = await command(*words)
            assert second.exit_code == 3
            assert f"pid {running.process.pid} on host {os.uname().nodename}" in second.complaint
            assert standin.ledger.serving == standin.ledger.total == 2


async def test_json_log_and_mail_line(
    own_films: Callable[[int], Path], nights: Nights, command: Command
) -> None:
    """With --quiet one line is on stdout; with --log-json every line on stderr is JSON."""
    own_films(1)
    async with serving(StandinOptions()) as standin:
        where = (*asking(standin.base_url, command.folder), "--store", nights.store)
        ended = await command("run", "videos", "--out", "out", *where, "--quiet", "--log-json")
    (line,) = ended.stdout.splitlines()
    assert line.startswith("captionfleet: 1 captioned, 0 failed, ")
    assert line.endswith(" tokens")
    assert [_event(line) for line in ended.stderr.splitlines()] == ["run ended"]


def _event(line: str) -> str:
    record: Mapping[str, Any] = orjson.loads(line)
    return str(record["event"])
