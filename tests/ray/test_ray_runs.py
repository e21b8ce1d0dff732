"""Whole runs whose worker processes are on the nodes of a real Ray cluster."""

import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command, until
from tests.support.job_file import write_job
from tests.support.output import Output, check_provenance
from tests.support.ray_cluster import RayCluster
from tests.support.slow_film import write_slow_film
from tests.support.tiny_films import Library, lay_to_rest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

KEY = "key-that-no-node-may-see"
CLIPS = 12


def job(
    folder: Path, cluster: RayCluster, base_url: str, sources: list[Path], **workers: Any
) -> Path:
    """A job file for runs on the cluster."""
    tables = {
        "input": {"sources": [str(one) for one in sources]},
        "workers": {"engine": "ray", "address": cluster.address, **workers},
        "store": {"dir": str(folder / "store")},
        "output": {"dir": str(folder / "out")},
    }
    return write_job(folder / "job.toml", base_url, tables=tables, model="omni")


def slow_films(folder: Path, count: int) -> list[Path]:
    """Copies of a film that keeps a worker busy for a second or more, each another to the run."""
    folder.mkdir()
    film = write_slow_film(folder / "slow-0.mp4")
    for number in range(1, count):
        with Path(shutil.copy(film, folder / f"slow-{number}.mp4")).open("ab") as copy:
            copy.write(b"\0\0\0\x10free" + number.to_bytes(8))
    return lay_to_rest(folder)


def environments(cluster: RayCluster) -> Mapping[int, bytes]:
    """Of every process of the cluster, Ray's own and the workers."""
    pids = cluster.processes()
    return {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in pids if _is_there(pid)}


def _is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}/environ").exists()


async def test_both_nodes_prepare_and_every_clip_has_its_line(
    tmp_path: Path, library: Library, cluster: RayCluster, command: Command, output: Output
) -> None:
    """The media that nodes made are those that are sent; what each node did stands in run.json."""
    async with serving(StandinOptions()) as standin:
        file = job(tmp_path, cluster, standin.base_url, library.films[:CLIPS])
        keys = {"OWN_KEY": KEY}
        named = ("--api-key-env", "OWN_KEY")
        async with command.started("run", "--job", file, *named, variables=keys) as running:
            await running.until(lambda: bool(cluster.workers()))
            found = environments(cluster)
            ended = await running.ended()
        run = output.settled_run()
        check_provenance(output.captions, standin)
    assert ended.exit_code == 0
    assert ended.stderr == ""
    assert ended.stdout.splitlines()[-1].startswith(f"captionfleet: {CLIPS} captioned")
    assert run["captioned"] == CLIPS
    assert sum(node["clips"] for node in run["nodes"].values()) == CLIPS
    assert all(node["cpu_s"] > 0 and not node["refused"] for node in run["nodes"].values())
    assert len(found) > 2
    assert not [pid for pid, environment in found.items() if KEY.encode() in environment]
    await until(lambda: not cluster.workers())


async def test_files_of_the_working_directory_are_no_code(
    tmp_path: Path, library: Library, cluster: RayCluster, output: Output
) -> None:
    """A file beside the films that is named as a package is loaded on no node."""
    for name in ("av", "captionfleet", "numpy", "orjson", "pydantic", "tempfile"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'loaded')!r}, 'w')\n")
    async with serving(StandinOptions()) as standin:
        file = job(tmp_path, cluster, standin.base_url, library.films[:2])
        program = ("-P", "-m", "captionfleet")
        ended = await Command(tmp_path, program)("run", "--job", file)
    assert ended.exit_code == 0, ended
    assert output.settled_run()["captioned"] == 2
    assert not (tmp_path / "loaded").exists()


async def test_node_that_dies_costs_a_retry(
    tmp_path: Path, cluster: RayCluster, command: Command, output: Output
) -> None:
    """A node is taken away in the middle: every clip has one line, and none is paid twice."""
    films = slow_films(tmp_path / "films", 6)
    third = cluster.add_node(3)
    async with serving(StandinOptions()) as standin:
        file = job(tmp_path, cluster, standin.base_url, films, processes=3)
        async with command.started("run", "--job", file) as running:
            await running.until(lambda: bool(cluster.workers(third)))
            cluster.kill(third)
            ended = await running.ended(within_s=300)
        run = output.settled_run()
        asked = len(standin.requests)
    assert ended.exit_code == 0, ended
    assert run["captioned"] == len(films) == asked
    assert run["lost_with_nodes"] >= 1
    assert "127.0.0.3" not in "".join(run["nodes"])


async def test_worker_that_hangs_or_dies_costs_its_clip_alone(
    tmp_path: Path, library: Library, cluster: RayCluster, command: Command, output: Output
) -> None:
    """On a node as on one machine: at its deadline a worker is killed, and the others go on."""
    slow = slow_films(tmp_path / "films", 1)
    stopped: list[int] = []

    def strike() -> bool:
        for pid in cluster.workers()[:1]:
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
        return bool(stopped)

    async with serving(StandinOptions()) as standin:
        sources = [*slow, *library.films[:3]]
        settings = {"processes": 1, "clip_timeout_s": 8}
        file = job(tmp_path, cluster, standin.base_url, sources, **settings)
        async with command.started("run", "--job", file) as running:
            await running.until(strike)
            ended = await running.ended()
        run = output.settled_run()
    assert ended.exit_code == 1
    assert list(output.codes.values()) == ["prepare_timeout"]
    assert run["captioned"] == 3
    assert sum(node["failed"] for node in run["nodes"].values()) == 1


async def test_stopped_run_leaves_no_worker(
    tmp_path: Path, cluster: RayCluster, command: Command, output: Output
) -> None:
    """SIGTERM ends a run on Ray as any other, and the cluster is free after it."""
    films = slow_films(tmp_path / "films", 4)
    async with serving(StandinOptions()) as standin:
        file = job(tmp_path, cluster, standin.base_url, films)
        async with command.started("run", "--job", file) as running:
            await running.until(lambda: bool(cluster.workers()))
            running.send(signal.SIGTERM)
            ended = await running.ended()
    assert ended.exit_code == 143
    assert output.run["ended"] == "signal"
    await until(lambda: not cluster.workers())


async def test_node_of_another_version_gets_no_clips(
    tmp_path: Path, library: Library, cluster: RayCluster, command: Command, output: Output
) -> None:
    """It is named with both versions, and the other nodes do the work."""
    other = tmp_path / "other" / "captionfleet-0.0.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: captionfleet\nVersion: 0.0.9\n")
    third = cluster.add_node(4, {"PYTHONPATH": str(other.parent)})
    try:
        async with serving(StandinOptions()) as standin:
            films = library.films[:6]
            file = job(tmp_path, cluster, standin.base_url, films, processes=6)
            ended = await command("run", "--job", file)
            run = output.settled_run()
            check_provenance(output.captions, standin)
    finally:
        cluster.kill(third)
    assert ended.exit_code == 0, ended
    (refused,) = (node for name, node in run["nodes"].items() if name.startswith("127.0.0.4 "))
    assert refused["refused"] == "captionfleet is 0.0.9, and 0.1.0 here"
    assert refused["clips"] == 0
    assert "127.0.0.4" in ended.stderr
    assert "captionfleet is 0.0.9" in ended.stdout


async def test_sources_that_no_node_sees_end_the_run(
    tmp_path: Path, library: Library, cluster: RayCluster, output: Output
) -> None:
    """The error names a node and a file; nothing is sent."""
    own = tmp_path / "own"
    own.mkdir()
    alone = ["unshare", "--map-root-user", "--mount"]
    if (await anyio.run_process([*alone, "true"], check=False)).returncode:
        pytest.skip("this system gives no file system of one's own")
    film = own / "film.mp4"
    seen_by_run = (
        f"mount -t tmpfs none {own} && cp -p {library.films[0]} {film} && "
        f"exec {sys.executable} -m captionfleet run --job job.toml"
    )
    async with serving(StandinOptions()) as standin:
        job(tmp_path, cluster, standin.base_url, [film])
        command = Command(tmp_path, program=("-c", _EXEC, *alone, "sh", "-c", seen_by_run))
        ended = await command()
        assert not standin.requests
    assert ended.exit_code == 6
    complaint = ended.stderr.splitlines()[-1]
    assert complaint.startswith("captionfleet: no node of the Ray cluster is fit for this run: ")
    assert f"does not see the sources: {film}: No such file or directory" in complaint
    assert output.run["captioned"] == 0


_EXEC = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"


async def test_cluster_that_is_not_there(
    tmp_path: Path, library: Library, command: Command
) -> None:
    """The run ends within its deadline, in one line that says what to do."""
    nowhere = RayCluster(tmp_path, 1)
    file = job(tmp_path, nowhere, "http://127.0.0.1:9/v1", library.films[:1])
    ended = await command("run", "--job", file)
    assert ended.exit_code == 6
    assert ended.complaint.startswith("no Ray cluster at 127.0.0.1:1: nothing takes connections")
    assert "`ray status`" in ended.complaint
