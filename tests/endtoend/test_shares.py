"""Several runs at one deployment, each with its share of the places there."""

from pathlib import Path

import anyio
import pytest

from captionfleet import JobConfig, run_job
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.output import Output, check_provenance
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

PLACES = 5


def job(shard: int, library: Library, base_url: str, out: Path) -> JobConfig:
    """One of two shards, which goes up to its ceiling at once."""
    server = {"base_url": base_url, "model": "omni", "max_in_flight": PLACES, "adaptive": False}
    return JobConfig.model_validate(
        {
            "input": {"sources": library.films, "shard": f"{shard}/2", "settle_s": 0},
            "workers": {"processes": 1},
            "store": {"dir": library.store},
            "deployments": [server | {"share": "shard"}],
            "output": {"dir": out / f"part-{shard}", "report": False},
        }
    )


async def test_two_runs_together_keep_to_one_ceiling(library: Library, tmp_path: Path) -> None:
    """The deployment never has more requests than it may, and is asked once for each clip."""
    async with serving(StandinOptions(slots=16, service_time_s=0.2)) as standin:
        with anyio.fail_after(120):
            async with anyio.create_task_group() as runs:
                for shard in range(2):
                    own = job(shard, library, standin.base_url, tmp_path)
                    runs.start_soon(run_job, own)
        most = max(record.in_flight for record in standin.requests)
        captions = [
            line for shard in range(2) for line in Output(tmp_path / f"part-{shard}").captions
        ]
        check_provenance(captions, standin)
    assert len(captions) == len(library.films)
    assert 3 < most <= PLACES
