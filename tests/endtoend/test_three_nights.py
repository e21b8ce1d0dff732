"""A library that changes, captioned every night."""

import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.nights import Nights
from tests.support.output import check_provenance
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

NIGHTLY = {"input": {"identity": "content", "settle_s": 1.0}}
COPYING_S = 0.1


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file of a library, when it was written and when anything of it changed."""
    facts = ((path, path.stat()) for path in folder.iterdir())
    return {path.name: (one.st_size, one.st_mtime_ns, one.st_ctime_ns) for path, one in facts}


async def copy_slowly(film: Path, to: Path, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    """Copy half a film and go on adding to it until cancelled."""
    content = await anyio.Path(film).read_bytes()
    half = len(content) // 2
    async with await anyio.open_file(to, "wb", buffering=0) as file:
        await file.write(content[:half])
        task_status.started()
        for at in range(half, len(content)):
            await file.write(content[at : at + 1])
            await anyio.sleep(COPYING_S)


@pytest.mark.usefixtures("short_cold_waits")
async def test_three_nights(
    library: Library, own_films: Callable[[int], Path], tmp_path: Path
) -> None:
    """Each night captions what is new or other than before, once, and leaves the rest alone."""
    videos, nights = own_films(4), Nights(tmp_path, library.store)
    async with serving(StandinOptions()) as standin:
        before = state(videos)
        first = await nights.run(standin, **NIGHTLY)
        assert (first.exit_code, first.captioned) == (0, 4)
        assert state(videos) == before  # sources are only read

        shutil.copy2(library.films[4], videos / "new.mp4")
        shutil.copy2(library.films[5], videos / "clip-00.mp4")
        (videos / "clip-01.mp4").rename(videos / "renamed.mp4")
        (videos / "clip-02.mp4").unlink()
        async with anyio.create_task_group() as tasks:
            await tasks.start(copy_slowly, library.films[6], videos / "copied.mp4")
            second = await nights.run(standin, **NIGHTLY)
            tasks.cancel_scope.cancel()
        assert (second.exit_code, second.captioned, second.already_captioned) == (0, 2, 2)
        assert second.passed_over == {"still_changing": 1}
        assert {line["source"] for line in nights.output.captions[4:]} == {"clip-00.mp4", "new.mp4"}
        check_provenance(nights.output.captions, standin)

    shutil.copy2(library.films[6], videos / "copied.mp4")
    async with serving(StandinOptions(cold_start_s=0.3)) as asleep:
        third = await nights.run(asleep, **NIGHTLY)
        assert (third.exit_code, third.captioned, third.already_captioned) == (0, 1, 4)
        assert asleep.ledger.by_status[503] > 0
        check_provenance(nights.output.captions[6:], asleep)
    assert len(nights.output.captions) == 7
