"""A library of whole films cut in shards, two of them killed: merged, every window has one line."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from captionfleet.producer.shards import Shard
from captionfleet.producer.windows import windows_of
from captionfleet.standin.faults import parse_fault
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import DEADLINE_S, Command
from tests.support.job_file import asking
from tests.support.known_films import copy_known
from tests.support.library import found
from tests.support.nights import Nights
from tests.support.output import Output
from tests.support.tiny_films import Library, tiny_film

pytestmark = pytest.mark.anyio

SHARDS, FILMS, WINDOW_S = 16, 9, 1
FILM_S = [tiny_film(number).seconds for number in range(FILMS)]
HALTED = StandinOptions(service_time_s=1000)
WHOLE = {"media": {"max_seconds": WINDOW_S}, "workers": {"processes": 1}}


def shares(films: Path) -> Counter[int]:
    """How many windows each shard has."""
    windows: Counter[int] = Counter()
    for number, film in enumerate(sorted(films.iterdir())):
        source = found(films, film.name)
        for shard in range(SHARDS):
            if Shard(shard, SHARDS, by_content=False).holds(source):
                windows[shard] += len(windows_of(FILM_S[number], WINDOW_S))
    return windows


def flags(job: Path) -> Iterator[str]:
    job.write_text(f"[media]\nmax_seconds = {WINDOW_S}\n[workers]\nprocesses = 1\n")
    yield from ("--job", str(job), "--quiet", "--segments", "all", "--max-in-flight", "1")


async def test_shards_are_merged(
    own_films: Callable[[int], Path], command: Command, tmp_path: Path
) -> None:
    """What killed shards lack is named; run again and merged again, nothing is paid twice.

    The folder of all goes on from there, and no film has to be opened again for it.
    """
    films = own_films(FILMS)
    windows = shares(films)
    killed = [shard for shard, count in windows.most_common(2) if count > 1]
    assert len(killed) == 2
    # A shard that is killed has its first answer by then, and waits for the second.
    halting = StandinOptions(slots=1, faults=(parse_fault("hang+after=1"),))
    async with serving(StandinOptions(slots=1)) as standin:
        where = ("--model", "omni", "--store", tmp_path / "store", *flags(tmp_path / "job.toml"))
        nights = Nights(tmp_path, tmp_path / "store", max_in_flight=1)
        own = {"sources": [films], "segments": "all", "settle_s": 0}

        async def run(shard: int) -> int:
            input_ = own | {"shard": f"{shard}/{SHARDS}"}
            output = {"dir": tmp_path / f"part-{shard}", "report": False}
            return (await nights.run(standin, **WHOLE, input=input_, output=output)).captioned

        for shard in killed:
            words = ("run", films, "--shard", f"{shard}/{SHARDS}", "--out", f"part-{shard}", *where)
            async with (
                serving(halting) as halted,
                command.started(*words, "--base-url", halted.base_url) as running,
            ):
                part = Output(tmp_path / f"part-{shard}")
                await running.until(lambda part=part: part.line_count() >= 1)
                running.send(signal.SIGKILL)
                await running.ended()
        for shard in set(range(SHARDS)) - {*killed}:
            assert await run(shard) == windows[shard]
        parts = [f"part-{number}" for number in range(SHARDS)]
        merged = await command("merge", *parts, "--out", "all")
        assert merged.exit_code == 1
        assert all(
            f"part-{one}: its last run did not end: run it again" in merged.stdout for one in killed
        )
        for shard in killed:
            assert await run(shard) == windows[shard] - 1
        merged = await command("merge", *parts, "--out", "all")
        assert merged.exit_code == 0, merged.stdout
        lines = Output(tmp_path / "all").captions
        expected = [
            (str(film), window.start_s)
            for film, seconds in zip(sorted(films.iterdir()), FILM_S, strict=True)
            for window in windows_of(seconds, WINDOW_S)
        ]
        assert sorted((line["path"], line["start_s"]) for line in lines) == expected
        assert len((tmp_path / "all" / "films.jsonl").read_bytes().splitlines()) == FILMS
        again = await nights.run(standin, **WHOLE, input=own, output={"dir": tmp_path / "all"})
        assert (again.planned, again.already_captioned) == (0, len(expected))
        assert standin.ledger.total == len(expected) - len(killed)  # whose first lines are kept


async def test_a_shard_that_was_complete_once_and_then_killed(
    own_films: Callable[[int], Path], library: Library, command: Command, tmp_path: Path
) -> None:
    """Merging names it until a run there ends; neither a merge nor a refused run hides it."""
    films, part = own_films(1), tmp_path / "part"
    merging = ("merge", "part", "--out", "all")
    unended = "part: its last run did not end: run it again"
    async with serving(StandinOptions()) as standin, serving(HALTED) as halted:
        words = ("run", films, "--out", "part")
        good = (*words, *asking(standin.base_url, tmp_path))
        assert (await command(*good)).exit_code == 0
        assert (await command(*merging)).exit_code == 0
        copy_known(library, library.films[1], films)
        async with command.started(*words, *asking(halted.base_url, tmp_path)) as running:
            with anyio.fail_after(DEADLINE_S):
                await halted.ledger.until(lambda ledger: ledger.serving == 1)
            running.send(signal.SIGKILL)
            await running.ended()
        for _ in range(2):
            merged = await command(*merging)
            assert (merged.exit_code, unended in merged.stdout) == (1, True)
        assert (await command("report", "part")).exit_code == 0
        assert "Another run began at" in (part / "report.html").read_text()
        assert (await command(*good, "--prompt", "Where?")).exit_code == 2
        assert unended in (await command(*merging)).stdout
        assert (await command(*good)).exit_code == 0
        merged = await command(*merging)
    assert merged.exit_code == 0, merged.stdout
    assert len(Output(tmp_path / "all").captions) == 2
