"""SIGKILL at random moments: nothing is lost, nothing is done twice (benchmarks/kill_test.py)."""

import random
from pathlib import Path

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.awaited_film import AWAITING, awaited_film, let_settle
from tests.support.command import Command
from tests.support.job_file import write_job
from tests.support.killing import Killer
from tests.support.output import Output
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

KILLS = 5
LONGEST_S = 0.4


async def test_killed_again_and_again(tmp_path: Path, library: Library, command: Command) -> None:
    """Whenever runs are killed, each clip ends with one line, sent and prepared no second time."""
    *films, last = library.films
    clips, awaited = len(library.films), awaited_film(last, tmp_path / "videos")
    chance = random.Random(8)  # noqa: S311 - it chooses moments
    replica = StandinOptions(slots=2, service_time_s=0.3)
    async with serving(replica) as one, serving(replica) as other:
        job = write_job(
            tmp_path / "job.toml",
            one,
            other,
            # No run ends before it is killed: it waits for a film.
            tables={"workers": {"processes": 1}, "request": {"connect_timeout_s": 5}} | AWAITING,
            max_in_flight=2,
        )
        store, out = tmp_path / "store", tmp_path / "out"
        words = ("run", *films, awaited.parent, "--job", job, "--store", store, "--out", out)
        killer = Killer(command, out, store, (one, other))
        for _ in range(KILLS):
            assert await killer.kill(words, chance, LONGEST_S)
        let_settle(awaited)
        assert (await command(*words)).exit_code == 0
        assert killer.sent_again() == 0
        assert killer.prepared_again() == 0
        lines = killer.lines_per_clip()
        assert (len(lines), set(lines.values())) == (clips, {1})
        assert any(0 < len(moment.captioned) < clips for moment in killer.moments)
        output = Output(out)
        assert output.settled_run()["failed"] == 0
        shas = {line["media"]["video_sha256"] for line in output.captions}
        received = {record.video_sha256 for standin in (one, other) for record in standin.requests}
        assert received - {None} == shas  # None: killed before the request was whole
