"""Clips through the real worker pool, and the processes that work on them."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from anyio import create_memory_object_stream
from anyio.streams.memory import MemoryObjectReceiveStream

from captionfleet.config import JobConfig
from captionfleet.messages import Clip, Failure, Outcome, ReadyClip, Source
from captionfleet.telemetry import Tally
from captionfleet.workers.pool import work
from captionfleet.workers.workspace import Workspace, open_workspace

WORKER = b"captionfleet-worker"
DEADLINE_S = 120
ROOT = Path(__file__).parents[2]

Result = ReadyClip | Failure


def clip_of(path: Path, *, clip_id: str = "", seconds: float = 60.0) -> Clip:
    """A clip of a file as it is now, be it a file or not."""
    facts = path.stat()
    source = Source(os.fspath(path), path.name, facts.st_size, facts.st_mtime_ns)
    return Clip(clip_id or path.name, source, 0.0, seconds)


def job_of(store: Path, /, workers: Mapping[str, Any] | None = None, **settings: Any) -> JobConfig:
    """A job with one worker process, its store in `store`."""
    return JobConfig.model_validate(
        {
            "workers": {"processes": 1, "clip_timeout_s": 100, **(workers or {})},
            "store": {"dir": store},
        }
        | settings
    )


class Pool:
    """The running pool: clips in, results out."""

    def __init__(self, job: JobConfig, media: Workspace) -> None:
        self.media = media
        self.tally = Tally()
        self.put_count = 0
        self._job = job
        self._clips_out, self._clips_in = create_memory_object_stream[Clip](1000)
        self._results_out, self._results_in = create_memory_object_stream[Result](1000)

    async def run(self) -> None:
        """Work until the clips end."""
        ready_out, ready_in = create_memory_object_stream[ReadyClip]()
        outcomes_out, outcomes_in = create_memory_object_stream[Outcome]()
        async with anyio.create_task_group() as tasks, self._results_out:
            tasks.start_soon(self._forward, ready_in)
            tasks.start_soon(self._forward, outcomes_in)
            await work(self._job, self.media, self.tally, self._clips_in, ready_out, outcomes_out)

    async def _forward(self, results_in: MemoryObjectReceiveStream[Any]) -> None:
        async with results_in, self._results_out.clone() as out:
            async for result in results_in:
                await out.send(result)

    def put(self, clip: Clip) -> None:
        """Have a clip prepared."""
        self.put_count += 1
        self._clips_out.send_nowait(clip)

    def end(self) -> None:
        """No more clips."""
        self._clips_out.close()

    async def next_result(self) -> Result:
        """What the next clip came to."""
        return await self._results_in.receive()

    async def results(self) -> list[Result]:
        """Everything that comes until the pool ends."""
        return [result async for result in self._results_in]

    def close(self) -> None:
        """Close what is open yet."""
        self._clips_out.close()
        self._results_in.close()


@asynccontextmanager
async def running_pool(job: JobConfig) -> AsyncIterator[Pool]:
    """A pool that is cancelled when the block ends, however that ends."""
    with anyio.fail_after(DEADLINE_S):
        async with open_workspace(job.store) as media:
            pool = Pool(job, media)
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(pool.run)
                    yield pool
                    tasks.cancel_scope.cancel()
            finally:
                pool.close()


async def prepared(job: JobConfig, clips: Iterable[Clip]) -> dict[str, Result]:
    """Results by `clip_id`; exactly one for every clip."""
    clips = list(clips)
    async with running_pool(job) as pool:
        for clip in clips:
            pool.put(clip)
        pool.end()
        results = await pool.results()
    by_id = {result.clip.clip_id: result for result in results}
    assert len(results) == len(by_id)
    assert by_id.keys() == {clip.clip_id for clip in clips}
    return by_id


async def prepared_one(path: Path, store: Path, **settings: Any) -> Result:
    """One file through a pool of its own."""
    (result,) = (await prepared(job_of(store, **settings), [clip_of(path)])).values()
    return result


def worker_pids(of: int | None = None) -> list[int]:
    """The worker processes of a process, by default of this one, that are not waited for yet."""
    return [pid for pid in _pids() if _is_worker(pid, of or os.getpid())]


def _pids() -> Iterable[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _is_worker(pid: int, main: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return False
    return WORKER in command and int(parent) == main


async def a_worker(of: int | None = None) -> int:
    """Wait until there is a worker process, and return its id."""
    while True:
        for pid in worker_pids(of):
            return pid
        await anyio.sleep(0.005)


async def a_worker_at_work(of: int | None = None, *, other_than: int = 0) -> int:
    """Wait until a worker decodes, and return its process id."""
    while True:
        for pid in worker_pids(of):
            if pid != other_than and _has_loaded(pid, "libx264"):
                return pid
        await anyio.sleep(0.01)


async def a_worker_reading(path: Path) -> int:
    """Wait until a worker has opened a file, and return its process id."""
    while True:
        for pid in worker_pids():
            if _has_open(pid, path):
                return pid
        await anyio.sleep(0.005)


def _has_open(pid: int, path: Path) -> bool:
    with suppress(OSError):
        return any(file.readlink() == path for file in Path(f"/proc/{pid}/fd").iterdir())
    return False


def _has_loaded(pid: int, library: str) -> bool:
    try:
        return library in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread or process brings about."""
    with anyio.fail_after(60):
        while True:
            if condition():
                return
            await anyio.sleep(0.005)


@contextmanager
def script(code: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A Python process that has said `ready`; it is killed when the block ends."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()
