"""The demo: the whole pipeline on generated clips and two stand-in deployments (main process)."""

import shutil
import sys
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from textwrap import indent
from typing import Any

import aiofiles
import anyio.to_thread
import orjson

from captionfleet.config import JobConfig
from captionfleet.errors import OutputError
from captionfleet.report.command import report_of_run
from captionfleet.run import run_job
from captionfleet.sink import RunSummary
from captionfleet.standin.films.library import DAMAGED, DEMO_FILMS, demo_films
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import Standin, serving

__all__ = ["run_demo"]

_MARK = ".captionfleet-demo"
_OWN = ("videos", "captions", "media")
_CAPTIONS_SHOWN = 5
_REPLICAS = (
    StandinOptions(strict=True, slots=4, max_queue=4, service_time_s=0.4, service_time_jitter=0.5),
    StandinOptions(
        strict=True, slots=2, max_queue=2, service_time_s=0.8, service_time_jitter=0.5, seed=1
    ),
)


async def run_demo(folder: Path) -> int:
    """Make the clips, serve, caption, and print what came of it.

    Returns 0 if every clip but the damaged one was captioned.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
    """
    print(f"making sample clips in {folder / 'videos'}")
    films = await anyio.to_thread.run_sync(_make_films, folder)
    async with AsyncExitStack() as running:
        replicas = [await running.enter_async_context(serving(options)) for options in _REPLICAS]
        print("stand-in deployments at " + " and ".join(replica.base_url for replica in replicas))
        summary = await run_job(_job(folder, replicas), progress=sys.stderr)
    report = await report_of_run(folder / "captions")
    await _show(folder, summary)
    print(f"report: {report}")
    return 0 if summary.captioned == len(films) - 1 and summary.failed == 1 else 1


def _make_films(folder: Path) -> list[Path]:
    """Clear what an earlier demo left, and nothing else."""
    try:
        if folder.is_dir():
            _refuse_strangers(folder)
        for name in _OWN:
            shutil.rmtree(folder / name, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARK).touch()
        return demo_films(folder / "videos")
    except OSError as error:
        raise OutputError(f"{folder}: cannot write the demo: {error.strerror}") from None


def _refuse_strangers(folder: Path) -> None:
    """Raise OutputError if something in the folder was put there by somebody else."""
    if any(folder.iterdir()) and not (folder / _MARK).exists():
        raise OutputError(f"{folder} is not empty: choose another folder with --out")
    videos = folder / "videos"
    films = {videos / name for name in (*DEMO_FILMS, DAMAGED)}
    found = [path for path in folder.iterdir() if path.name not in {_MARK, *_OWN}]
    found += [path for path in videos.rglob("*") if path not in films and not path.is_dir()]
    if found:
        raise OutputError(f"{found[0]} is not the demo's: choose another folder with --out")


def _job(folder: Path, replicas: list[Standin]) -> JobConfig:
    names = ("stand-in-a", "stand-in-b")
    return JobConfig.model_validate(
        {
            "input": {"sources": [folder / "videos"], "settle_s": 0},
            "store": {"dir": folder / "media"},
            "request": {"stream": True},
            "deployments": [
                {
                    "name": name,
                    "base_url": replica.base_url,
                    "model": "stand-in",
                    "api_key_env": "",
                    "max_in_flight": options.slots,
                }
                for name, replica, options in zip(names, replicas, _REPLICAS, strict=True)
            ],
            "output": {"dir": folder / "captions"},
        }
    )


async def _show(folder: Path, summary: RunSummary) -> None:
    captions, failures = folder / "captions/captions.jsonl", folder / "captions/failures.jsonl"
    print()
    for record in await _records(captions, _CAPTIONS_SHOWN):
        print(f"{record['source']}\n{indent(record['caption'], '    ')}\n")
    for record in await _records(failures):
        print(f"{record['source']}\n    failed: {record['code']} ({record['detail']})")
    print(f"\n{summary.text()}\n\ncaptions: {captions}\nfailures: {failures}")


async def _records(path: Path, most: int = 100) -> list[dict[str, Any]]:
    async with aiofiles.open(path, "rb") as lines:
        return [orjson.loads(line) for line in islice(await lines.readlines(), most)]
