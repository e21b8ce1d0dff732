"""Prepares clips without sending them, as files that a person can inspect (main process)."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any, BinaryIO, TextIO

import anyio.to_thread
import orjson
from anyio import create_memory_object_stream, create_task_group
from anyio.streams.memory import MemoryObjectReceiveStream

from captionfleet.config import JobConfig, RequestConfig
from captionfleet.errors import (
    ConfigError,
    FailureCode,
    OutputError,
    RunError,
    Stage,
    first_run_error,
)
from captionfleet.ledger.settled import Settled
from captionfleet.messages import (
    MEDIA_ENDINGS,
    Clip,
    Failure,
    Note,
    Outcome,
    ReadyClip,
    printable,
)
from captionfleet.messages.address import is_address
from captionfleet.producer import (
    Films,
    check_sources,
    check_store_apart,
    count_ahead,
    is_folder,
    produce,
)
from captionfleet.system.regular_file import make_folder, open_regular
from captionfleet.telemetry import Tally, get_log, show_progress
from captionfleet.workers.cluster.cluster import Cluster, open_cluster
from captionfleet.workers.headers import open_measuring
from captionfleet.workers.pool import work
from captionfleet.workers.workspace import Workspace, open_workspace

__all__ = ["PrepareSummary", "prepare_job"]

_AHEAD = 16
_ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_UNREADABLE = FailureCode.SOURCE_UNREADABLE  # the sender's code for media that it cannot read
_MAX_NAME_BYTES = 250  # the limit of file systems, less the longest ending


@dataclass(frozen=True, slots=True)
class PrepareSummary:
    """The number of prepared clips, and of those that failed."""

    prepared: int
    failed: int


async def prepare_job(
    job: JobConfig, out: Path | None, *, progress: TextIO | None = None
) -> PrepareSummary:
    """Write NAME.mp4, NAME.ogg and NAME.json for every clip; NAME is the source's relative path.

    Without `out`, only the media store is filled, where a run of the same job finds the media.

    Media are written in each form that the job's deployments take: concatenated JPEGs as
    NAME.mjpeg, other sound as NAME.wav or NAME.mp3. NAME.json holds the facts of the first
    deployment's form. A clip that cannot be prepared gets a NAME.json with its failure code alone.
    A NAME that is too long for the file system is cut and marked with the clip's id. Files that an
    earlier call did not write are never overwritten.

    Raises:
        RunError: a source is missing, `out` or the store lies in one, or cannot be written.
    """
    job = job.with_one(RequestConfig())  # prompts do not change the prepared media
    await anyio.to_thread.run_sync(check_sources, job.input)
    await anyio.to_thread.run_sync(check_store_apart, job)
    if out is not None:
        await anyio.to_thread.run_sync(_check_apart, job, out)
    tally, shelf = Tally(), None if out is None else _Shelf(out)
    problem: RunError | None = None
    try:
        async with (
            open_cluster(job, tally) as (placed, cluster),
            show_progress(tally, progress, sends=False),
            open_workspace(job.store) as media,
            open_measuring(job.workers, job.media, scenes_from_s=job.scenes_from_s) as measure,
            create_task_group() as watch,
        ):
            films = await Films.of(job, measure, is_resuming=False)
            if progress is not None:
                watch.start_soon(count_ahead, job, Settled(), tally, films)
            await _flow(placed, media, tally, shelf, films, cluster)
            watch.cancel_scope.cancel()
    except* RunError as group:
        problem = first_run_error(group)
    if problem is not None:
        raise problem
    return PrepareSummary(tally.captioned, tally.failed)


def _check_apart(job: JobConfig, out: Path) -> None:
    """Refuse a folder inside a source, where the prepared videos would become sources."""
    if is_address(os.fspath(out)):
        raise ConfigError("prepare writes only to this machine: name a folder, and copy that")
    for source in job.input.sources:
        if is_folder(source) and out.resolve().is_relative_to(source.resolve()):
            where, of = (printable(os.fspath(path)) for path in (out, source))
            raise ConfigError(f"{where} is inside the source {of}: choose a folder outside")


async def _flow(  # noqa: PLR0913, PLR0917 - what the stages share
    job: JobConfig,
    media: Workspace,
    tally: Tally,
    shelf: "_Shelf | None",
    films: Films,
    cluster: Cluster | None,
) -> None:
    clips_out, clips_in = create_memory_object_stream[Clip](_AHEAD)
    ready_out, ready_in = create_memory_object_stream[ReadyClip](_AHEAD)
    outcomes_out, outcomes_in = create_memory_object_stream[Outcome | Note](_AHEAD)
    # Keep the receiving ends open until every stage has ended: otherwise the neighbours of a stage
    # that fails raise BrokenResourceError, which hides the real error.
    async with ready_in, outcomes_in, create_task_group() as stages:
        stages.start_soon(produce, job, Settled(), tally, clips_out, outcomes_out.clone(), films)
        make = partial(work, cluster=cluster)
        stages.start_soon(make, job, media, tally, clips_in, ready_out, outcomes_out)
        stages.start_soon(_keep_ready, ready_in, shelf, tally, media)
        stages.start_soon(_keep_failures, outcomes_in, shelf, tally)


async def _keep_ready(
    ready_in: MemoryObjectReceiveStream[ReadyClip],
    shelf: "_Shelf | None",
    tally: Tally,
    media: Workspace,
) -> None:
    async for ready in ready_in:
        is_kept = shelf is None or await anyio.to_thread.run_sync(shelf.put, ready)
        tally.settle(ready.clip, ready.facts if is_kept else None)
        media.release(ready.clip.clip_id)


async def _keep_failures(
    outcomes_in: MemoryObjectReceiveStream[Outcome | Note], shelf: "_Shelf | None", tally: Tally
) -> None:
    async for outcome in outcomes_in:
        if isinstance(outcome, Failure):
            if shelf is not None:
                await anyio.to_thread.run_sync(shelf.put_failure, outcome)
            else:
                path, code = printable(outcome.clip.source.path), outcome.code.value
                get_log().warning("clip not prepared", path=path, code=code)
            tally.settle(outcome.clip, None)


class _Shelf:
    """The output folder; gives two sources with the same name different files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[int] = set()

    def put(self, ready: ReadyClip) -> bool:
        """Copy one clip's media and write its facts; False if the media cannot be read any more."""
        base = self._base(ready.clip)
        try:
            with ExitStack() as opened:
                try:
                    media = [(end, opened.enter_context(one)) for end, one in _media(ready)]
                except OSError as error:
                    detail = f"prepared media: {error.strerror}"
                    self._fail(base, Failure(ready.clip, Stage.WORKERS, _UNREADABLE, detail))
                    return False
                self._write(base, _identity(ready.clip) | {"media": asdict(ready.facts)})
                for ending, file in media:
                    _copy(file, _with_ending(base, ending))
        except OSError as error:
            raise self._unwritable(error) from None
        return True

    def put_failure(self, failure: Failure) -> None:
        """Write NAME.json with the reason why the clip has no media."""
        try:
            self._fail(self._base(failure.clip), failure)
        except OSError as error:
            raise self._unwritable(error) from None

    def _fail(self, base: Path, failure: Failure) -> None:
        why = {"stage": failure.stage, "code": failure.code, "detail": failure.detail}
        self._write(base, _identity(failure.clip) | why)

    def _base(self, clip: Clip) -> Path:
        # A name from a list may be absolute or hold "..": every file must stay below the folder.
        parts = [part for part in PurePath(clip.source.name).parts if part not in {"/", "//", ".."}]
        base = self._folder.joinpath(*parts)
        if clip.start_s > 0:
            base = _with_ending(base, f"@{clip.start_s:08.2f}")
        name, mark = os.fsencode(base.name), f"~{clip.clip_id[:8]}"
        if len(name) > _MAX_NAME_BYTES:
            return base.with_name(os.fsdecode(name[: _MAX_NAME_BYTES - len(mark)]) + mark)
        if hash(base) in self._taken:
            return _with_ending(base, mark)
        self._taken.add(hash(base))
        return base

    def _make_folders(self, parent: Path) -> None:
        """Create folders below the output folder, which alone may be a symbolic link."""
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = self._folder
        for part in parent.relative_to(self._folder).parts:
            folder /= part
            make_folder(folder)

    def _write(self, base: Path, record: dict[str, Any]) -> None:
        """Write the facts before the media: they mark the files as this program's own."""
        self._make_folders(base.parent)
        facts = _with_ending(base, ".json")
        if not _is_own(facts):
            for path in (facts, *(_with_ending(base, ending) for ending in MEDIA_ENDINGS)):
                if os.path.lexists(path):
                    raise FileExistsError(0, f"{path.name} is there and was not written by prepare")
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        with os.fdopen(open_regular(facts, _ANEW), "wb") as file:
            file.write(orjson.dumps(record, option=options))

    def _unwritable(self, error: OSError) -> OutputError:
        where, why = printable(os.fspath(self._folder)), printable(str(error.strerror))
        return OutputError(f"{where}: {why}: choose another folder with --out")


def _media(ready: ReadyClip) -> Iterator[tuple[str, BinaryIO]]:
    for one in (ready, *ready.others):
        for path in (one.video, one.audio):
            if path is not None:
                yield path.suffix, os.fdopen(open_regular(path), "rb")


def _copy(read: BinaryIO, target: Path) -> None:
    with os.fdopen(open_regular(target, _ANEW), "wb") as written:
        shutil.copyfileobj(read, written)


def _is_own(facts: Path) -> bool:
    """Whether this program wrote the file; an empty one is of a call that was killed."""
    try:
        with os.fdopen(open_regular(facts), "rb") as file:
            text = file.read()
        return not text or "clip_id" in orjson.loads(text)
    except (OSError, ValueError, TypeError):
        return False


def _identity(clip: Clip) -> dict[str, Any]:
    return {
        "clip_id": clip.clip_id,
        "source": printable(clip.source.name),
        "start_s": clip.start_s,
        "end_s": clip.end_s,
    }


def _with_ending(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
