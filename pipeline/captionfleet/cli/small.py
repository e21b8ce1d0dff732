"""The short commands: prepare, demo and failures (main process)."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import anyio
from cyclopts import Parameter

from captionfleet.config import job_from_flags
from captionfleet.errors import FailureCode
from captionfleet.messages import for_terminal, printable
from captionfleet.system.standard_streams import do_not_wait_for_readers
from captionfleet.telemetry import configure_logging

__all__ = ["demo", "failures", "prepare"]


def prepare(
    *sources: Path,
    out: Path | None = None,
    job: Path | None = None,
    workers: int | None = None,
    sampling: Literal["exact", "fast"] | None = None,
    segments: Literal["first", "all", "scenes"] | None = None,
    limit: int | None = None,
    store: Path | None = None,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Do the media step alone: to inspect the media, or before deployments are up.

    Writes NAME.mp4, NAME.ogg and NAME.json (the facts, or the code of a clip that cannot be
    prepared); NAME is the source's relative path with its ending, as in beach.mov.mp4. Without
    --out only the media store is filled: a run with the same store and settings then only sends.

    Args:
        sources: As for run; they replace the job file's.
        out: Output folder, created if missing; neither a source nor inside one; by default there is
            none.
        job: Job file (TOML), for its [input], [media], [workers] and [store]; by default there is
            none.
        workers: Worker processes that prepare clips; by default one for each core, as far as there
            is memory for them.
        sampling: Which frames to take: those of ffmpeg's fps=1 (exact, the default), or the
            cheapest of each second.
        segments: What to prepare of a film: its first window (first, the default), all windows or
            its scenes; later ones have their start in the name, as in
            beach.mov@00060.00.mp4.
        limit: Stop after this many clips; by default there is no limit.
        store: Folder for prepared media, reused by later runs; by default captionfleet/media in the
            user's cache folder.
        quiet: Show no progress.
    """
    from captionfleet.prepare import prepare_job  # noqa: PLC0415 - --help need not wait for it

    flags: dict[str, dict[str, object]] = {
        "input": {"sources": list(sources) or None, "limit": limit, "segments": segments},
        "media": {"sampling": sampling},
        "workers": {"processes": workers},
        "store": {"dir": store},
    }
    settled = job_from_flags(job, flags)
    configure_logging()
    do_not_wait_for_readers()

    async def main() -> int:
        summary = await prepare_job(settled, out, progress=None if quiet else sys.stderr)
        where = "" if out else f", in {for_terminal(printable(str(settled.store.folder())))}"
        print(f"captionfleet: {summary.prepared:,} prepared, {summary.failed:,} failed{where}")
        return int(summary.failed > 0)

    return anyio.run(main)


def demo(folder: Path | None = None, /, *, out: Path = Path("demo")) -> int:
    """Show the whole pipeline on sample clips or on ten of your own, without an account.

    Makes a few small clips, starts two stand-in deployments on this machine, captions the clips
    through them and prints the summary and five captions. One clip is damaged, and is reported as
    such. The stand-ins only measure the media; a real model writes prose.

    Args:
        folder: Videos of your own, of which the first ten clips are captioned; they are only read.
            By default clips are generated.
        out: Folder for the clips and the captions.
    """
    from captionfleet.demo import run_demo  # noqa: PLC0415 - the other commands need not wait for it

    configure_logging()
    do_not_wait_for_readers()
    return anyio.run(run_demo, out, folder)


def failures(
    folder: Path,
    *,
    code: FailureCode | None = None,
    paths0: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """List the clips that stand failed, by code.

    Args:
        folder: Output folder of a run.
        code: Only failures with this code; by default all.
        paths0: Print only the source paths, each ended by a NUL, for other programs.
    """
    from captionfleet.ledger.standing import failures_text, read_standing  # noqa: PLC0415 - as above

    found = read_standing(folder, code)
    if paths0:
        paths = dict.fromkeys(one.path for one in found if one.path is not None)
        sys.stdout.buffer.write(b"".join(path + b"\0" for path in paths))
    else:
        print(failures_text(found))
    return 0
