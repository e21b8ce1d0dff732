"""A library cut in shards, one of them killed: merged, every film has its one caption."""

import signal
from pathlib import Path

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.output import Output
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

SHARDS = 3


async def test_shards_are_merged(library: Library, command: Command, tmp_path: Path) -> None:
    """What a killed shard lacks is named; run again and merged again, nothing is paid twice."""
    films = library.films[0].parent
    async with serving(StandinOptions(slots=1, service_time_s=0.05)) as standin:
        where = ("--base-url", standin.base_url, "--model", "omni", "--store", library.store)

        def words(number: int) -> tuple[object, ...]:
            out = ("--out", f"part-{number}", "--quiet", "--max-in-flight", "1", "--workers", "1")
            return ("run", films, "--shard", f"{number}/{SHARDS}", *out, *where)

        async with command.started(*words(0)) as running:  # type: ignore[arg-type]
            await running.until(lambda: Output(tmp_path / "part-0").line_count() >= 1)
            running.send(signal.SIGKILL)
            await running.ended()
        for number in range(1, SHARDS):
            assert (await command(*words(number))).exit_code == 0  # type: ignore[arg-type]
        parts = [f"part-{number}" for number in range(SHARDS)]
        merged = await command("merge", *parts, "--out", "all")
        assert merged.exit_code == 1
        assert "part-0: its run did not end: run it again" in merged.stdout
        assert (await command(*words(0))).exit_code == 0  # type: ignore[arg-type]
        merged = await command("merge", *parts, "--out", "all")
        assert merged.exit_code == 0, merged.stdout
        lines = Output(tmp_path / "all").captions
        assert sorted(line["path"] for line in lines) == sorted(map(str, library.films))
        again = await command("run", films, "--out", "all", "--quiet", *where)  # and goes on there
        assert f"0 captioned, 0 failed, {len(library.films)} skipped" in again.stdout
        # Killed while one request was in flight, at most that one is sent twice.
        assert len(library.films) <= standin.ledger.total <= len(library.films) + 1
