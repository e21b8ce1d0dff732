"""What code gets that has taken over a worker process: nothing but its clip."""

import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import av
import pytest

from captionfleet.check.check import Options, check_job
from captionfleet.errors import FailureCode
from captionfleet.media.confinement import landlock
from captionfleet.media.confinement.syscall_filter import program_for
from captionfleet.media.drafts import sha256_of
from captionfleet.messages import Failure, ReadyClip
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from captionfleet.workers import process
from tests.support.hostile_payload import Targets, start, start_and_leave
from tests.support.nights import Nights
from tests.support.odd_media import ODD
from tests.support.preparing import clip_of, job_of, prepared, running_pool, worker_pids

pytestmark = pytest.mark.anyio

needs_landlock = pytest.mark.skipif(
    not landlock.abi() or program_for(os.uname().machine, 1) is None,
    reason="this kernel has no Landlock, or this machine no filter of system calls",
)
# Doors that are open to every user's processes, unless something shuts them.
ORDINARY = {
    "signal the parent", "connect by TCP", "send by UDP", "connect to a Unix socket",
    "connect to an abstract socket", "read a secret", "read a secret through a link",
    "list a folder", "read the source by its name", "read captions", "write captions",
    "open captions to all", "start a program", "fork", "outlive the parent",
    "write the stored media", "date the stored media", "link to the stored media",
    "remove the stored media", "read the media that wait", "write the media that wait",
    "replace the media that wait", "list the stored media", "make a folder in the store",
    "write to another worker's folder",
}  # fmt: skip


def text_of(path: str) -> str:
    """What a file holds."""
    return Path(path).read_text()


@pytest.fixture
async def targets(tmp_path: Path, film: Path) -> AsyncIterator[Targets]:
    """A user's files and services, and media of other clips: stored, and waiting to be sent."""
    folder, home = tmp_path / "captions", tmp_path / "home"
    folder.mkdir()
    (home / ".ssh").mkdir(parents=True)
    secret, captions, link = home / ".ssh" / "id", folder / "captions.jsonl", tmp_path / "link.mp4"
    secret.write_text("secret")
    captions.write_text("{}\n")
    link.symlink_to(secret)
    abstract = f"\0captionfleet-{os.urandom(8).hex()}"
    async with AsyncExitStack() as open_until_then:
        ports = []
        for family, kind, address in (
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            (socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "socket")),
            (socket.AF_UNIX, socket.SOCK_STREAM, abstract),
        ):
            service = open_until_then.enter_context(socket.socket(family, kind))
            service.bind(address)
            if kind == socket.SOCK_STREAM:
                service.listen()
            if family == socket.AF_INET:
                ports.append(service.getsockname()[1])
        other = await open_until_then.enter_async_context(running_pool(job_of(tmp_path / "store")))
        other.put(clip_of(film, clip_id="other", seconds=1.0))
        ready = await other.next_result()
        assert isinstance(ready, ReadyClip)
        key = ready.media_key
        media = (tmp_path / "store" / key[:2] / key, ready.video.with_suffix(""))
        paths = [str(one) for one in (secret, captions, link, folder, film)]
        yield Targets(*paths, *ports, str(tmp_path / "socket"), abstract, *map(str, media))


async def doors_open(
    film: Path, store: Path, targets: Targets, confine: str, monkeypatch: pytest.MonkeyPatch
) -> set[str]:
    """What the attack found open."""
    root = f"{Path(__file__).parents[2]}/."  # workers leave out the working directory's own name
    monkeypatch.setattr(sys, "path", [*sys.path, root])
    monkeypatch.setattr(process, "_START", start(process._START, targets))
    job = job_of(store, {"confine": confine})
    (result,) = (await prepared(job, [clip_of(film)])).values()
    assert isinstance(result, Failure)
    return set(json.loads(result.detail))


@needs_landlock
async def test_every_door_is_shut_to_what_runs_in_a_worker(
    tmp_path: Path, film: Path, targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code in the decoder's place gets at no key, secret, output, network, program or process."""
    assert await doors_open(film, tmp_path / "store", targets, "auto", monkeypatch) == set()
    assert text_of(targets.captions) == "{}\n"
    media, facts = (Path(f"{targets.entry}{ending}") for ending in (".mp4", ".json"))
    assert sha256_of(media) == json.loads(facts.read_bytes())["video_sha256"]


LIES = ["link", "pipe", "nothing", "second name", "trouble", "other answer"]


@pytest.mark.parametrize("left", LIES)
async def test_what_a_worker_leaves_is_not_trusted(
    tmp_path: Path, film: Path, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that leaves a link, a FIFO or a file with a second name costs its clip alone.

    Nothing that it points to is read, and neither the run nor its end waits for it.
    """
    secret = tmp_path / "secret"
    secret.write_text("secret")
    root = f"{Path(__file__).parents[2]}/."
    monkeypatch.setattr(sys, "path", [*sys.path, root])
    honest = process._START
    monkeypatch.setattr(process, "_START", start_and_leave(honest, left, str(secret)))
    confine = "none" if left in {"link", "pipe"} else "auto"  # which no confined worker can make
    async with running_pool(job_of(tmp_path / "store", {"confine": confine})) as pool:
        pool.put(clip_of(film))
        result = await pool.next_result()
        assert isinstance(result, Failure)
        assert result.code is FailureCode.WORKER_CRASHED
        assert not list((tmp_path / "store").glob("??/*"))
        monkeypatch.setattr(process, "_START", honest)
        pool.put(clip_of(film, clip_id="the next"))
        assert isinstance(await pool.next_result(), ReadyClip)


async def test_file_that_a_worker_goes_on_changing(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is hashed, stored and sent is a copy, in which the worker changes nothing."""
    root = f"{Path(__file__).parents[2]}/."
    monkeypatch.setattr(sys, "path", [*sys.path, root])
    monkeypatch.setattr(process, "_START", start_and_leave(process._START, "open file", ""))
    async with running_pool(job_of(tmp_path / "store")) as pool:
        pool.put(clip_of(film))
        result = await pool.next_result()
        assert isinstance(result, ReadyClip)
        (stored,) = (tmp_path / "store").glob("??/*.mp4")
        pool.put(clip_of(film, clip_id="the next", seconds=1))  # the same worker: it lives
        assert isinstance(await pool.next_result(), ReadyClip)
        assert sha256_of(stored) == sha256_of(result.video) == result.facts.video_sha256
        assert stored.stat().st_mtime_ns == result.video_mtime_ns


async def test_the_attack_is_one(
    tmp_path: Path, film: Path, targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without confinement the same code gets what any process of the user gets."""
    found = await doors_open(film, tmp_path / "store", targets, "none", monkeypatch)
    assert found >= ORDINARY


async def test_media_are_the_same_with_and_without_confinement(tmp_path: Path, film: Path) -> None:
    """Confinement changes no byte of what is sent."""
    made = []
    for confine in ("auto", "none"):
        job = job_of(tmp_path / confine, {"confine": confine})
        (result,) = (await prepared(job, [clip_of(film)])).values()
        assert isinstance(result, ReadyClip)
        made.append(result.facts)
    assert made[0] == made[1]


def write_avif(path: Path) -> Path:
    """An animation of two seconds, whose decoder maps libraries and starts threads of its own."""
    with av.open(path, "w", format="avif") as file:
        stream = file.add_stream("libsvtav1", rate=2, options={"preset": "11"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(4):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([60 * number]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 2)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder on another file system than the films."""
    memory = Path("/dev/shm")  # noqa: S108 - it is on Linux, and the folder in it is private
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


async def test_odd_media_need_no_more_than_a_worker_has(tmp_path: Path, other_disk: Path) -> None:
    """AVIF, HDR, GIF and hidden frames give the same bytes; the store is on another disk, too."""
    films = [ODD[name](tmp_path) for name in ("hdr_pq", "gif", "vp9_alt_ref", "mpeg2")]
    films.append(write_avif(tmp_path / "animation.avif"))
    clips = [clip_of(film) for film in films]
    made = [
        await prepared(job_of(store, {"confine": confine}), clips)
        for store, confine in ((other_disk, "auto"), (tmp_path / "store", "none"))
    ]
    for clip in clips:
        confined, free = (found[clip.clip_id] for found in made)
        assert isinstance(confined, ReadyClip)
        assert isinstance(free, ReadyClip)
        assert confined.facts == free.facts


@pytest.mark.parametrize("newest_abi", [1, 2, 3, 4, 5, 6])
@needs_landlock
async def test_older_kernels_confine_as_far_as_they_can(
    tmp_path: Path, film: Path, newest_abi: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an older kernel has not learned yet is not asked of it, and clips are prepared."""
    if landlock.abi() < newest_abi:
        pytest.skip(f"this kernel's Landlock is older than version {newest_abi}")
    older = (
        "import captionfleet.media.confinement.landlock as l; "
        f"l.abi = lambda: {newest_abi}; serve(int("
    )
    monkeypatch.setattr(process, "_START", process._START.replace("serve(int(", older))
    (result,) = (await prepared(job_of(tmp_path / "store"), [clip_of(film)])).values()
    assert isinstance(result, ReadyClip)


async def test_sources_are_read_wherever_they_lie(tmp_path: Path, film: Path) -> None:
    """A link to a film elsewhere, and a film in a folder of its own, are prepared as always."""
    link, apart = tmp_path / "link.mp4", tmp_path / "apart" / "film.mp4"
    link.symlink_to(film)
    apart.parent.mkdir()
    shutil.copy(film, apart)
    results = await prepared(
        job_of(tmp_path / "store"), [clip_of(link), clip_of(apart, clip_id="apart")]
    )
    assert all(isinstance(result, ReadyClip) for result in results.values())


async def test_worker_is_first_to_be_killed_for_memory(tmp_path: Path, film: Path) -> None:
    """Where memory runs out, the kernel ends a worker before the process that sends and writes."""
    async with running_pool(job_of(tmp_path / "store")) as pool:
        pool.put(clip_of(film))
        assert isinstance(await pool.next_result(), ReadyClip)
        (worker,) = worker_pids()
        own, its = (int(text_of(f"/proc/{pid}/oom_score_adj")) for pid in ("self", worker))
        assert its == min(1000, own + 500)
        assert "Threads:\t1\n" in text_of(f"/proc/{worker}/status")


WEAKER = {
    "landlock+seccomp": "pass",
    "landlock": (
        "import captionfleet.media.confinement.confine as c; c.program_for = lambda *_: None"
    ),
    "seccomp": "import captionfleet.media.confinement.landlock as l; l.abi = lambda: 0",
    "none": (
        "import captionfleet.media.confinement.landlock as l; l.abi = lambda: 0; "
        "import captionfleet.media.confinement.confine as c; c.program_for = lambda *_: None"
    ),
}


@pytest.mark.parametrize("held", WEAKER)
@needs_landlock
async def test_what_holds_is_said(
    tmp_path: Path, film: Path, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` and run.json say which confinement the kernel gives, and warn of less than both."""
    weaker = process._START.replace("serve(int(", f"{WEAKER[held]}; serve(int(")
    monkeypatch.setattr(process, "_START", weaker)
    nights = Nights(tmp_path, tmp_path / "store")
    nights.videos.mkdir()
    shutil.copy2(film, nights.videos)
    async with serving(StandinOptions()) as standin:
        await nights.run(standin, output={"report": False})
        assert nights.output.run["confinement"] == held
        with anyio.fail_after(60):
            report = await check_job(nights.job(standin), Options(canary=False))
    (finding,) = (one for one in report.findings if one.check == "workers")
    assert held in finding.text
    assert (finding.level == "ok") is (held == "landlock+seccomp")
