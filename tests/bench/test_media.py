"""The clips that a bench draws from somebody's own films."""

from pathlib import Path

import anyio
import pytest

from captionfleet.bench.gauge import Gauge
from captionfleet.bench.media import Generated, open_media
from captionfleet.config import JobConfig
from tests.support.tiny_films import write_tiny_films

DEADLINE_S = 120.0


@pytest.mark.anyio
async def test_windows_are_drawn_of_whole_films(tmp_path: Path) -> None:
    """Where a job asks for all windows, a bench sends some of them, and not first ones alone."""
    write_tiny_films(tmp_path / "videos", 3)
    job = JobConfig.model_validate(
        {
            "input": {"sources": [tmp_path / "videos"], "segments": "all", "settle_s": 0},
            "media": {"max_seconds": 1},
            "workers": {"processes": 1},
            "output": {"dir": tmp_path / "out"},
            "store": {"dir": tmp_path / "store"},
        }
    )
    nothing = Generated(0, 1.0, "still")
    with anyio.fail_after(DEADLINE_S):
        async with open_media(job, nothing, Gauge(), sample=4, seed=1) as media:
            assert (len(media.ready), media.of_files) == (4, 3)
            assert {one.clip.start_s for one in media.ready} != {0.0}
