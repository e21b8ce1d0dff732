"""Whole runs over a store in which something else lies where prepared media should."""

import os
import sys
from pathlib import Path

import anyio
import pytest

from captionfleet import load_job, run_job
from captionfleet.media.drafts import sha256_of
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import Standin, serving
from captionfleet.workers import process
from tests.support.hostile_payload import start_and_leave
from tests.support.job_file import write_job
from tests.support.output import Output

pytestmark = pytest.mark.anyio


async def run_over(films: list[Path], standin: Standin, folder: Path, confine: str = "auto") -> int:
    """Caption the films into `out` and keep media in `store`; the exit code."""
    path = write_job(folder / "job.toml", standin)
    overrides = {
        "input": {"sources": films},
        "store": {"dir": folder / "store"},
        "output": {"dir": folder / "out"},
        "workers": {"confine": confine},
    }
    with anyio.fail_after(120):
        return (await run_job(load_job(path, overrides))).exit_code


@pytest.mark.parametrize("left", ["link", "pipe"])
async def test_run_ends_although_its_workers_plant_files(
    left: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a taken-over worker leaves costs its clip; nothing is sent, and nothing waits for it."""
    secret = tmp_path / "id_rsa"
    secret.write_text("secret")
    root = f"{Path(__file__).parents[2]}/."  # workers leave out the working directory's own name
    monkeypatch.setattr(sys, "path", [*sys.path, root])
    monkeypatch.setattr(process, "_START", start_and_leave(process._START, left, str(secret)))
    async with serving(StandinOptions()) as standin:
        assert await run_over([film], standin, tmp_path, confine="none") == 1
        assert standin.requests == ()
    (failure,) = Output(tmp_path / "out").failures
    assert failure["code"] == "worker_crashed"


@pytest.mark.parametrize("planted", ["a FIFO", "a link"])
async def test_what_was_planted_in_the_store_between_two_runs_is_made_again(
    planted: str, film: Path, tmp_path: Path
) -> None:
    """Stored media that are no regular file are neither read nor sent: the clip is prepared."""
    secret = tmp_path / "id_rsa"
    async with serving(StandinOptions()) as standin:
        assert await run_over([film], standin, tmp_path) == 0
        (media,) = (tmp_path / "store").glob("??/*.mp4")
        media.rename(secret)
        if planted == "a FIFO":
            os.mkfifo(media)
        else:
            media.symlink_to(secret)
        (tmp_path / "out" / "captions.jsonl").unlink()
        assert await run_over([film], standin, tmp_path) == 0
        assert {request.video_sha256 for request in standin.requests} == {sha256_of(media)}
    (caption,) = Output(tmp_path / "out").captions
    assert caption["media"]["video_sha256"] == sha256_of(media)
    assert not media.is_symlink()
