"""One real run that the tests of the report share, and one browser."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from captionfleet import JobConfig, run_job
from captionfleet.standin.faults import parse_fault
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.browser import Browser, browsing
from tests.support.output import Output
from tests.support.shared import shared_folder
from tests.support.tiny_films import write_tiny_films

FILMS = 5
# Names that a page, a shell or a CSV reader could trip over; every one is a file of the run.
ODD_NAMES = (
    "<b>bold & 'quoted' \".mp4",
    "two\nlines, commas; and\ttabs.mp4",
    "\u202e\u05d0\u05d1 gpj.mp4",
)
NO_TEXT = b"/\xff\xfe.mp4"


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that came to its end: its output, and the store with what was sent."""

    output: Output
    store: Path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Five films with odd names and one that is none, captioned through a stand-in that stumbles.

    Read it, and change nothing in it.
    """
    folder = shared_folder(tmp_path_factory, "finished run", _finish)
    return Finished(Output(folder / "captions"), folder / "store")


def _finish(folder: Path) -> None:
    films = write_tiny_films(folder / "videos", FILMS)
    for film, name in zip(films, ODD_NAMES, strict=False):
        film.rename(film.with_name(name))
    films[3].rename(os.fsdecode(os.fsencode(folder / "videos") + NO_TEXT))
    (folder / "videos" / "notes, or none.mp4").write_bytes(b"no film")
    options = StandinOptions(faults=(parse_fault("429:0.3"),), service_time_s=0.05)

    async def run() -> None:
        with anyio.fail_after(100):
            async with serving(options) as standin:
                deployment = {"name": "omni-a", "base_url": standin.base_url, "model": "omni"}
                await run_job(_job(folder, deployment))

    anyio.run(run)


def _job(folder: Path, deployment: dict[str, str]) -> JobConfig:
    return JobConfig.model_validate(
        {
            "input": {"sources": [folder / "videos"], "settle_s": 0},
            "request": {"stream": True},
            "deployments": [deployment | {"api_key_env": ""}],
            "store": {"dir": folder / "store"},
            "output": {"dir": folder / "captions"},
        }
    )


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all tests, or a skip that says why there is none."""
    with browsing(tmp_path_factory.mktemp("profile")) as found:
        yield found
