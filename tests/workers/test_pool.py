"""A clip cannot hurt another one, nor the run: crashes, hangs, signals, cancellation."""

import logging
import os
import signal
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from captionfleet.errors import FailureCode, OutputError
from captionfleet.messages import Failure, ReadyClip
from tests.support.hostile_files import large_gif
from tests.support.preparing import (
    Pool,
    a_worker,
    a_worker_at_work,
    clip_of,
    job_of,
    prepared,
    prepared_one,
    running_pool,
    until,
    worker_pids,
)

pytestmark = pytest.mark.anyio


async def one_result(pool: Pool, path: Path) -> ReadyClip | Failure:
    """What one more clip comes to."""
    pool.put(clip_of(path, clip_id=f"clip {pool.put_count}"))
    return await pool.next_result()


def soft_limits(pid: int) -> dict[str, str]:
    """A process's resource limits by the kernel's names."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return {line[:26].strip(): line[26:].split()[0] for line in lines}


async def test_one_crash_is_tried_again(tmp_path: Path, slow_film: Path) -> None:
    """A clip whose worker dies once, while it decodes, is prepared by a second worker."""
    async with running_pool(job_of(tmp_path)) as pool:
        pool.put(clip_of(slow_film))
        first = await a_worker_at_work()
        os.kill(first, signal.SIGSEGV)
        result = await pool.next_result()
        assert isinstance(result, ReadyClip)
        assert first not in worker_pids()


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGKILL])
async def test_worker_that_dies_as_it_starts_is_tried_again(
    tmp_path: Path, film: Path, number: signal.Signals
) -> None:
    """A clip whose worker dies before it has decoded anything is prepared by a second worker."""
    async with running_pool(job_of(tmp_path)) as pool:
        pool.put(clip_of(film))
        first = await a_worker()
        os.kill(first, signal.SIGSTOP)  # so that it does not get on
        os.kill(first, number)
        os.kill(first, signal.SIGCONT)
        result = await pool.next_result()
        assert isinstance(result, ReadyClip)
        assert first not in worker_pids()


async def test_second_crash_fails_the_clip_alone(
    tmp_path: Path, slower_film: Path, film: Path
) -> None:
    """A clip on which two workers die fails with a code that names how, and the next one works."""
    async with running_pool(job_of(tmp_path)) as pool:
        pool.put(clip_of(slower_film))
        first = await a_worker_at_work()
        os.kill(first, signal.SIGSEGV)
        os.kill(await a_worker_at_work(other_than=first), signal.SIGBUS)
        result = await pool.next_result()
        assert isinstance(result, Failure)
        assert result.code is FailureCode.WORKER_CRASHED
        assert "SIGSEGV" in result.detail
        assert "SIGBUS" in result.detail
        assert isinstance(await one_result(pool, film), ReadyClip)


async def test_idle_worker_that_died_costs_nothing(tmp_path: Path, film: Path) -> None:
    """A worker that dies between two clips is replaced."""
    async with running_pool(job_of(tmp_path)) as pool:
        await one_result(pool, film)
        (idle,) = worker_pids()
        os.kill(idle, signal.SIGKILL)
        assert isinstance(await one_result(pool, film), ReadyClip)


async def test_hang_ends_at_the_deadline(tmp_path: Path, slower_film: Path) -> None:
    """A clip whose worker hangs fails after clip_timeout_s, and that worker is dead."""
    async with running_pool(job_of(tmp_path, {"clip_timeout_s": 1})) as pool:
        pool.put(clip_of(slower_film))
        os.kill(await a_worker(), signal.SIGSTOP)
        result = await pool.next_result()
        assert isinstance(result, Failure)
        assert result.code is FailureCode.PREPARE_TIMEOUT
        assert worker_pids() == []


async def test_cpu_is_limited_by_the_kernel(tmp_path: Path, slower_film: Path) -> None:
    """A worker out of CPU time is killed without the main process, and the clip is too slow."""
    async with running_pool(job_of(tmp_path)) as pool:
        pool.put(clip_of(slower_film))
        os.kill(await a_worker_at_work(), signal.SIGXCPU)  # as the kernel does at RLIMIT_CPU
        result = await pool.next_result()
        assert isinstance(result, Failure)
        assert result.code is FailureCode.PREPARE_TIMEOUT


async def test_limits_of_a_worker_at_work(tmp_path: Path, slower_film: Path) -> None:
    """While it decodes, a worker has limits of memory and CPU, and leaves no core file."""
    settings = {"memory_bytes": 2**31, "clip_timeout_s": 30}
    async with running_pool(job_of(tmp_path, settings)) as pool:
        pool.put(clip_of(slower_film))
        worker = await a_worker_at_work()
        await until(lambda: soft_limits(worker)["Max address space"] == str(2**31))
        soft = soft_limits(worker)
        assert 30 <= int(soft["Max cpu time"]) <= 33
        assert soft["Max core file size"] == "0"


async def test_clip_that_eats_memory_is_refused(tmp_path: Path, film: Path) -> None:
    """A file that needs more than memory_bytes fails with a code, and its worker goes on."""
    async with running_pool(job_of(tmp_path, {"memory_bytes": 2**28})) as pool:
        await one_result(pool, film)
        (worker,) = worker_pids()
        result = await one_result(pool, large_gif(tmp_path, 8000))
        assert isinstance(result, Failure)
        assert result.code is FailureCode.OUT_OF_MEMORY
        assert isinstance(await one_result(pool, film), ReadyClip)
        assert worker_pids() == [worker]


async def test_signals_to_the_whole_job_spare_clips_in_progress(
    tmp_path: Path, slow_film: Path
) -> None:
    """Ctrl-C, `systemctl stop` and a closed terminal do not end a worker in the middle."""
    async with running_pool(job_of(tmp_path)) as pool:
        pool.put(clip_of(slow_film))
        worker = await a_worker_at_work()
        assert os.getpgid(worker) != os.getpgid(0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(worker, number)
        assert isinstance(await pool.next_result(), ReadyClip)
        assert worker_pids() == [worker]


@pytest.mark.parametrize(
    ("settings", "is_kept"),
    [({}, True), ({"recycle_clips": 1}, False), ({"recycle_bytes": 2**24}, False)],
)
async def test_workers_are_replaced_when_worn(
    tmp_path: Path, film: Path, settings: dict[str, int], *, is_kept: bool
) -> None:
    """A worker ends after recycle_clips clips, or when it holds more than recycle_bytes."""
    async with running_pool(job_of(tmp_path, settings)) as pool:
        await one_result(pool, film)
        before = worker_pids()
        assert len(before) == is_kept
        assert isinstance(await one_result(pool, film), ReadyClip)
        assert worker_pids() == before


@pytest.mark.parametrize("pause_s", [0, 0.05, 0.2, 0.5])
async def test_cancellation_leaves_no_process(
    tmp_path: Path, slower_film: Path, pause_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the workers do when the run is cancelled, they are gone when it has ended."""
    async with running_pool(job_of(tmp_path, {"processes": 2})) as pool:
        pool.put(clip_of(slower_film, clip_id="one"))
        pool.put(clip_of(slower_film, clip_id="two"))
        await anyio.sleep(pause_s)
    assert worker_pids() == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_cancellation_leaves_no_idle_process(tmp_path: Path, film: Path) -> None:
    """A worker that waits for its next clip is gone too when the run is cancelled."""
    async with running_pool(job_of(tmp_path)) as pool:
        await one_result(pool, film)
        assert len(worker_pids()) == 1
    assert worker_pids() == []


async def test_dying_workers_warn_nobody(
    tmp_path: Path, film: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However workers end, no warning of the event loop reaches the user's terminal."""
    async with running_pool(job_of(tmp_path, {"processes": 2})) as pool:
        for _ in range(4):
            await one_result(pool, film)
            for pid in worker_pids():
                with suppress(ProcessLookupError):  # it was killed before, and is buried only now
                    os.kill(pid, signal.SIGKILL)
        pool.end()
        await pool.results()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_pool_ends_with_its_clips(tmp_path: Path, film: Path) -> None:
    """When all clips are prepared, the pool ends by itself and its workers have gone."""
    clips = [clip_of(film, clip_id=str(number)) for number in range(5)]
    results = await prepared(job_of(tmp_path, {"processes": 2}), clips)
    assert all(isinstance(result, ReadyClip) for result in results.values())
    assert worker_pids() == []


async def test_store_in_a_files_place_ends_the_run(tmp_path: Path, film: Path) -> None:
    """A media store that cannot be made is the run's problem, said in one line."""
    (tmp_path / "store").touch()
    with pytest.raises(OutputError, match="media store"):
        await prepared_one(film, tmp_path / "store")


async def test_store_that_breaks_midway_ends_the_run(tmp_path: Path, film: Path) -> None:
    """A media store that cannot be written is no clip's failure."""
    for shard in range(256):
        (tmp_path / f"{shard:02x}").touch()
    with pytest.raises(ExceptionGroup) as caught:
        await prepared(job_of(tmp_path), [clip_of(film)])
    assert caught.group_contains(OutputError, match="media store")
