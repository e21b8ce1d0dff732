"""Runs the demo: the whole pipeline on generated clips and two stand-in servers (main process)."""

import shlex
import shutil
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from textwrap import indent
from typing import Any

import aiofiles
import anyio.to_thread
import orjson

from captionfleet.config import InputConfig, JobConfig
from captionfleet.errors import OutputError
from captionfleet.ledger.files.names import CAPTIONS, FAILURES, REPORT
from captionfleet.messages import for_terminal, printable
from captionfleet.messages.address import shown_name
from captionfleet.producer import check_sources
from captionfleet.report.command import report_of_run
from captionfleet.run import run_job
from captionfleet.sink import RunSummary
from captionfleet.standin.films.library import DAMAGED, DEMO_FILMS, demo_films
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import Standin, serving

__all__ = ["run_demo"]

_MARK = ".captionfleet-demo"
_STORE = ".media"  # hidden: a later run over the folder passes it over
_OWN = ("videos", "captions", "media", _STORE)
_CAPTIONS_SHOWN = 5
_OWN_CLIPS = 10
_LIKE_A_SERVICE = StandinOptions(strict=True, service_time_jitter=0.5, names_media=False)
_REPLICAS = (
    replace(_LIKE_A_SERVICE, slots=4, max_queue=4, service_time_s=0.4),
    replace(_LIKE_A_SERVICE, slots=2, max_queue=2, service_time_s=0.8, seed=1),
)


async def run_demo(folder: Path, own: Path | None = None) -> int:
    """Make the clips, or take the first ten of `own`; serve, caption and print the results.

    Returns the exit code: 0 if every clip but the damaged one was captioned, or, with `own`, if any
    was.

    Raises:
        ConfigError: the user's own videos are not there.
        OutputError: the folder holds something else, or cannot be written.
    """
    if own is None:
        print(f"making sample clips in {folder / 'videos'}: films that this program draws")
    else:
        await anyio.to_thread.run_sync(check_sources, InputConfig(sources=(own,)))
        print(f"taking the first {_OWN_CLIPS} clips of {_shown(own)}, which are only read")
    films = await anyio.to_thread.run_sync(_make_films, folder, own is None)
    async with AsyncExitStack() as running:
        replicas = [await running.enter_async_context(serving(options)) for options in _REPLICAS]
        print("stand-in deployments at " + " and ".join(replica.base_url for replica in replicas))
        print("they only measure the media: where their captions give figures,")
        print("a real model writes prose")
        summary = await run_job(_job(folder, replicas, own), progress=sys.stderr)
    report = await report_of_run(folder / "captions")
    await _show(folder, summary)
    _show_next(folder, report, own)
    if own is not None:
        return 0 if summary.captioned else 1
    return 0 if summary.captioned == len(films) - 1 and summary.failed == 1 else 1


def _show_next(folder: Path, report: str, own: Path | None) -> None:
    """Print the path of the report, and the command for videos of one's own."""
    page = folder / "captions" / REPORT
    print("\nthe frames that were sent, the sound, and what was said of them:")
    print(_shown(page) if page.is_file() else report)
    videos = "VIDEOS" if own is None else shlex.quote(_shown(own))
    rest = f"run {videos} --out captions --base-url URL --model NAME"
    print(f"\nnext: {_program()} {rest}")


def _program() -> str:
    """The command that starts this program again; `make demo` installs it outside PATH."""
    here = Path(sys.argv[0])
    is_found = here.name != "captionfleet" or shutil.which("captionfleet") is not None
    return "captionfleet" if is_found else shlex.quote(_shown(here))


def _shown(path: Path) -> str:
    return for_terminal(printable(shown_name(str(path))))


def _make_films(folder: Path, are_wanted: bool) -> list[Path]:  # noqa: FBT001 - by position
    """Remove the files of an earlier demo, and nothing else; then make the clips."""
    try:
        if folder.is_dir():
            _refuse_strangers(folder)
        for name in _OWN:
            shutil.rmtree(folder / name, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARK).touch()
        return demo_films(folder / "videos") if are_wanted else []
    except OSError as error:
        raise OutputError(f"{folder}: cannot write the demo: {error.strerror}") from None


def _refuse_strangers(folder: Path) -> None:
    """Raise OutputError if the folder holds a file that no demo made."""
    if any(folder.iterdir()) and not (folder / _MARK).exists():
        raise OutputError(f"{folder} is not empty: choose another folder with --out")
    videos = folder / "videos"
    films = {videos / name for name in (*DEMO_FILMS, DAMAGED)}
    found = [path for path in folder.iterdir() if path.name not in {_MARK, *_OWN}]
    found += [path for path in videos.rglob("*") if path not in films and not path.is_dir()]
    if found:
        raise OutputError(f"{found[0]} is not the demo's: choose another folder with --out")


def _job(folder: Path, replicas: list[Standin], own: Path | None) -> JobConfig:
    names = ("stand-in-a", "stand-in-b")
    return JobConfig.model_validate(
        {
            "input": {"sources": [folder / "videos"], "settle_s": 0}
            if own is None
            else {"sources": [own], "settle_s": 0, "limit": _OWN_CLIPS},
            "store": {"dir": folder / _STORE},
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
    captions, failures = folder / "captions" / CAPTIONS, folder / "captions" / FAILURES
    print()
    for record in await _records(captions, _CAPTIONS_SHOWN):
        print(f"{_shown(Path(record['source']))}\n{indent(record['caption'], '    ')}\n")
    for record in await _records(failures):
        print(f"{record['source']}\n    failed: {record['code']} ({record['detail']})")
    print(f"\n{summary.text()}")


async def _records(path: Path, most: int = 100) -> list[dict[str, Any]]:
    async with aiofiles.open(path, "rb") as lines:
        return [orjson.loads(line) for line in islice(await lines.readlines(), most)]
