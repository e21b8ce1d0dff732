"""What is found in the sources before a plan is made."""

import random
from pathlib import Path

import anyio
import pytest

from captionfleet.errors import ConfigError
from captionfleet.plan.probing import probe_library
from captionfleet.producer.windows import Cutting
from tests.support.tiny_films import lay_to_rest, write_tiny_films

pytestmark = pytest.mark.anyio

DEADLINE_S = 120.0


async def test_large_library_is_known_by_a_sample(tmp_path: Path) -> None:
    """All files are counted and a few are read; those that are no video are left out in kind."""
    write_tiny_films(tmp_path, 3)
    with anyio.fail_after(DEADLINE_S):
        library = await probe_library([tmp_path], max_seconds=1, most_probed=2)
    assert (library.clips, library.unusable, library.is_sample) == (3, 0, True)
    assert [clip.codec for clip in library.mix] == ["h264", "h264"]
    assert all(0 < clip.seconds <= 1 for clip in library.mix)


async def test_films_are_cut_into_windows(tmp_path: Path) -> None:
    """Films of one, two and three seconds are six windows of a second."""
    write_tiny_films(tmp_path, 3)
    with anyio.fail_after(DEADLINE_S):
        library = await probe_library([tmp_path], max_seconds=1, cutting=Cutting("all"))
    assert (library.clips, library.films, library.headers_read) == (6, 3, 3)
    assert sum(clip.seconds for clip in library.mix) == pytest.approx(6.0, abs=0.3)


async def test_hostile_files_cost_themselves_alone(tmp_path: Path) -> None:
    """Noise, text and playlists under the names of videos are counted as no use, and no more."""
    dice = random.Random(5)  # noqa: S311 - repeatable
    (tmp_path / "noise.mp4").write_bytes(dice.randbytes(4096))
    (tmp_path / "list.mkv").write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    lay_to_rest(tmp_path)
    with anyio.fail_after(DEADLINE_S), pytest.raises(ConfigError, match="no video"):
        await probe_library([tmp_path], max_seconds=60)
    write_tiny_films(tmp_path, 1)
    with anyio.fail_after(DEADLINE_S):
        library = await probe_library([tmp_path], max_seconds=60)
    assert (library.clips, library.unusable, library.is_sample) == (1, 2, False)
