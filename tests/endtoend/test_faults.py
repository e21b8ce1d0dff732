"""Whole runs against deployments that fail, sleep or are not there."""

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from captionfleet.standin.faults import parse_fault
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import asking, write_job
from tests.support.nights import Nights
from tests.support.output import Output, check_provenance
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

AILMENTS = (
    "429+retry-after=0.2", "429", "500", "502-html", "503", "reset-before", "reset-during",
    "truncate", "garbage", "hang",
)  # fmt: skip
# Each hits one request, every third of the first thirty.
MIX = tuple(
    parse_fault(f"{ailment}+after={3 * number + 1}+first=1")
    for number, ailment in enumerate(AILMENTS)
)


@pytest.fixture
def dead_url() -> Iterator[str]:
    """A URL whose port is taken by a socket that does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


@pytest.mark.parametrize("answers", ["whole", "streamed"])
async def test_every_clip_is_captioned_once_whatever_fails(
    answers: str, library: Library, command: Command, output: Output
) -> None:
    """With three requests of ten failing in ten ways, no clip is lost, doubled or mixed up."""
    request = {"stream": answers == "streamed", "timeout_s": 2.0, "max_attempts": 12}
    async with serving(StandinOptions(faults=MIX, watch_media=False)) as standin:
        job = write_job(
            command.folder / "job.toml", standin, tables={"request": request}, max_in_flight=8
        )
        ended = await command(
            "run", *library.films, "--job", job, "--store", library.store, "--out", "out"
        )
        assert (ended.exit_code, "Traceback" in ended.stderr) == (0, False)
        met = {record.fault for record in standin.requests}
        run = output.settled_run()
        check_provenance(output.captions, standin)
        attempts = sum(line["attempts"] for line in output.captions)
        assert attempts == run["attempts"] == standin.ledger.total
        assert run["retries"] == standin.ledger.total - len(library.films) > 0
    assert met == {fault.label for fault in MIX} | {None}
    assert len(output.captions) == len(library.films)


@pytest.mark.parametrize("ailment", ["no connection", "500", "503"])
async def test_one_deployment_of_two_is_down_all_the_time(
    ailment: str, dead_url: str, library: Library, command: Command, output: Output
) -> None:
    """The other takes every clip, and the one that is down is not asked for each of them."""
    faults = () if ailment == "no connection" else (parse_fault(ailment),)
    options = StandinOptions(watch_media=False)
    async with serving(replace(options, faults=faults)) as sick, serving(options) as well:
        first = dead_url if ailment == "no connection" else sick
        job = write_job(command.folder / "job.toml", first, well, max_in_flight=4)
        ended = await command(
            "run", *library.films, "--job", job, "--store", library.store, "--out", "out"
        )
        assert ended.exit_code == 0
        assert "d1" in ended.stderr
        output.settled_run()
        check_provenance(output.captions, well)
        assert {line["deployment"] for line in output.captions} == {"d2"}
        assert sick.ledger.total < len(library.films) / 2


@pytest.mark.usefixtures("short_cold_waits")
async def test_deployment_that_scales_up_is_waited_for(
    own_films: Callable[[int], Path],
    library: Library,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A cold start costs no attempt: with one attempt for each clip, all are captioned."""
    own_films(6)
    nights = Nights(tmp_path, library.store)
    async with serving(StandinOptions(cold_start_s=0.5)) as standin:
        summary = await nights.run(standin, request={"max_attempts": 1})
        assert summary.exit_code == 0
        assert "scaling up" in "".join(capsys.readouterr())
        nights.output.settled_run()
        check_provenance(nights.output.captions, standin)
        assert standin.ledger.by_status[503] > 0
        assert standin.ledger.by_status[200] == 6


async def test_clip_that_is_refused_fails_alone_and_once(
    library: Library, command: Command, output: Output
) -> None:
    """A 400 is not asked again in this run; it is a failures line, and the next run tries it."""
    async with serving(StandinOptions(max_seconds=2.0)) as standin:
        words = (*asking(standin.base_url, command.folder), "--store", library.store)
        ended = await command("run", *library.films[:6], *words, "--out", "out")
        assert ended.exit_code == 1
        run = output.settled_run()
        refused = standin.ledger.by_status[400]
        assert 0 < refused == run["failed"] == standin.ledger.total - run["captioned"]
        for line in output.failures:
            facts = {key: line[key] for key in ("stage", "code", "permanent", "attempts")}
            assert facts == {
                "stage": "sender", "code": "rejected", "permanent": False, "attempts": 1
            }  # fmt: skip
            assert "400" in line["detail"]
    async with serving(StandinOptions()) as lenient:
        words = (*asking(lenient.base_url, command.folder), "--store", library.store)
        assert (await command("run", *library.films[:6], *words, "--out", "out")).exit_code == 0
        assert lenient.ledger.total == refused
    assert output.settled_run()["failed"] == 0
    statuses = Counter(line["attempts"] for line in output.captions)
    assert statuses == {1: 6}
