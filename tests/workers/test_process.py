"""What a worker process gets, and what it is allowed to say."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from pydantic import ValidationError

from captionfleet.media.orders import Order
from captionfleet.messages import MediaSpec, ReadyClip
from captionfleet.workers import process
from tests.support.preparing import (
    a_worker_at_work,
    clip_of,
    job_of,
    prepared_one,
    running_pool,
    script,
    until,
)

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
KEY = "fw_S3cr3tS3cr3tS3cr3t"


def environment_of(pid: int) -> bytes:
    """The environment with which a process started."""
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_workers_do_not_get_the_key(
    tmp_path: Path, slower_film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of a process that decodes untrusted bytes holds only what it needs."""
    monkeypatch.setenv("FIREWORKS_API_KEY", KEY)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    async with running_pool(job_of(tmp_path)) as pool:
        pool.put(clip_of(slower_film))
        environment = environment_of(await a_worker_at_work()).split(b"\0")
        assert not [one for one in environment if KEY.encode() in one]
        assert b"LANG=C.UTF-8" in environment
        assert b"MALLOC_TRIM_THRESHOLD_=1000000" in environment  # not the program's own
        assert b"MALLOC_MMAP_THRESHOLD_=33554432" in environment


async def test_files_of_a_clip_are_open_in_its_worker_alone(
    tmp_path: Path, slower_film: Path
) -> None:
    """A hundred workers would otherwise take more descriptors than the usual limit allows."""
    async with running_pool(job_of(tmp_path)) as pool:
        pool.put(clip_of(slower_film))
        worker = await a_worker_at_work()

        def film_is_open_in(process: int) -> bool:
            opened = Path(f"/proc/{process}/fd").iterdir()
            return any(os.path.realpath(one) == str(slower_film) for one in opened)

        assert (film_is_open_in(worker), film_is_open_in(os.getpid())) == (True, False)


def test_main_process_keeps_its_memory_to_itself() -> None:
    """No process of the same user can attach to the command, or read the keys it was given."""
    code = (
        "import ctypes, sys, captionfleet.cli, captionfleet.__main__ as m; "
        "captionfleet.cli.run_command_line = lambda _: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0); "
        "m.main()"
    )  # PR_GET_DUMPABLE as the exit code: 0
    was = "import ctypes, sys; sys.exit(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    codes = [
        subprocess.run([sys.executable, "-c", one], cwd=ROOT, check=False, timeout=60).returncode
        for one in (code, was)
    ]
    assert codes == [0, 1]


def test_worker_starts_light() -> None:
    """Until its first clip a worker has loaded neither FFmpeg nor the main process's libraries."""
    heavy = "{'av', 'pydantic', 'anyio', 'asyncio', 'aiohttp', 'numpy', 'structlog', 'cyclopts'}"
    code = f"import sys, captionfleet.media.entry; print({heavy} & set(sys.modules) or 'light')"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    assert run.stdout == b"light\n"


@pytest.mark.parametrize(
    "said", ["nonsense", '{"result": {"code": "not_video"}}', "\\200\\005N.", ""]
)
async def test_what_a_worker_says_is_data(tmp_path: Path, said: str) -> None:
    """A worker that says anything but a report is not believed, and nothing it says is run."""
    order = Order(clip_of(tmp_path), MediaSpec(), "", 1, 1)
    command = ["sh", "-c", f"printf '{said}\\n'; exec cat > /dev/null"]
    with anyio.fail_after(60):
        async with await anyio.open_process(command) as impostor:
            with pytest.raises(ValidationError):
                await process._ask(impostor, order, {})


RUN = """
import sys, anyio
from pathlib import Path
from tests.support.preparing import clip_of, job_of, running_pool
async def main():
    async with running_pool(job_of(Path(sys.argv[1]))) as pool:
        pool.put(clip_of(Path(sys.argv[2])))
        print("ready", flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


async def test_workers_die_with_the_main_process(tmp_path: Path, slower_film: Path) -> None:
    """When the main process is killed, no worker goes on, idle or in the middle of a clip."""
    with script(RUN, str(tmp_path), str(slower_film)) as main, anyio.fail_after(60):
        worker = await a_worker_at_work(of=main.pid)
        os.kill(worker, signal.SIGSTOP)  # so that it cannot end by itself
        main.send_signal(signal.SIGKILL)
        main.wait()
        await until(lambda: not is_alive(worker))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def test_worker_finds_what_the_main_process_found(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the program is started from, its workers load the same code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert isinstance(await prepared_one(film, tmp_path / "store"), ReadyClip)
