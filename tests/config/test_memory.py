"""How much memory there is, and what each worker may have of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import JobConfig, WorkersConfig
from captionfleet.config.memory import (
    ENOUGH_BYTES,
    MAIN_PROCESS_BYTES,
    available_bytes,
    cgroup_limit_bytes,
    overcommitment,
    worker_bytes,
    workers_that_fit,
)

GIB = 2**30


@given(cores=st.integers(1, 512), memory_bytes=st.integers(0, 2**42))
def test_workers_and_the_program_fit_into_the_memory(cores: int, memory_bytes: int) -> None:
    """By default, all workers at their limit and the program itself fit; one worker always runs."""
    workers = workers_that_fit(cores, memory_bytes)
    assert 1 <= workers <= cores
    each = worker_bytes(workers, memory_bytes)
    assert ENOUGH_BYTES <= each <= 4 * GIB
    if memory_bytes >= MAIN_PROCESS_BYTES + ENOUGH_BYTES:
        assert MAIN_PROCESS_BYTES + workers * each <= memory_bytes


@pytest.mark.parametrize(
    ("workers", "memory_bytes", "expected"),
    [(4, 4 * GIB, 896 * 2**20), (4, 64 * GIB, 4 * GIB), (64, 4 * GIB, ENOUGH_BYTES)],
)
def test_share_of_a_worker(workers: int, memory_bytes: int, expected: int) -> None:
    """A pod's limit is shared, a large machine's is capped, and each has enough for most clips."""
    assert worker_bytes(workers, memory_bytes) == expected


@given(cores=st.integers(1, 512), memory_bytes=st.integers(0, 2**42))
def test_default_workers_are_never_too_many(cores: int, memory_bytes: int) -> None:
    """What the program chooses for itself it does not warn of."""
    workers = workers_that_fit(cores, memory_bytes)
    each = worker_bytes(workers, memory_bytes)
    assert overcommitment(workers, each, memory_bytes) is None


@pytest.mark.parametrize(
    ("workers", "each_bytes", "is_too_much"),
    [(4, 4 * GIB, False), (5, ENOUGH_BYTES, True), (16, 128 * 2**20, False)],
)
def test_workers_that_do_not_fit_are_warned_of(
    workers: int, each_bytes: int, *, is_too_much: bool
) -> None:
    """In 4 GiB, the fifth worker with enough for ordinary clips is one too many."""
    words = overcommitment(workers, each_bytes, 4 * GIB)
    assert (words is not None) is is_too_much
    assert not words or "5 workers and the program may need 4.2 GiB" in words


def written(folder: Path, files: dict[str, str]) -> Path:
    """Files with these texts."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        pytest.param("0::/\n", {"memory.max": "4294967296\n"}, 4 * GIB, id="container, version 2"),
        pytest.param("0::/\n", {"memory.max": "max\n"}, None, id="unlimited, version 2"),
        pytest.param(
            "0::/a/b\n",
            {"a/b/memory.max": "max\n", "a/memory.max": "1000\n", "memory.max": "2000\n"},
            1000,
            id="nested, version 2",
        ),
        pytest.param("0::/host/pod\n", {"memory.max": "7\n"}, 7, id="the host's path"),
        pytest.param(
            "3:cpu:/x\n2:memory:/a\n0::/\n",
            {"memory/a/memory.limit_in_bytes": "5000\n", "memory/memory.limit_in_bytes": "9000\n"},
            5000,
            id="version 1",
        ),
        pytest.param("0::/\n", {}, None, id="nothing mounted"),
        pytest.param("0::/../..\n", {"memory.max": "9\n"}, 9, id="above the container's top"),
        pytest.param("nonsense\n\n:::\n", {"memory.max": "9\n"}, None, id="nonsense"),
    ],
)
def test_limit_of_control_groups(
    tmp_path: Path, own: str, files: dict[str, str], limit: int | None
) -> None:
    """The tightest limit from the own group up to the top counts, in both versions."""
    (tmp_path / "cgroup").write_text(own)
    root = written(tmp_path / "root", files)
    assert cgroup_limit_bytes(tmp_path / "cgroup", root) == limit


def test_no_control_groups_at_all(tmp_path: Path) -> None:
    """A system without control groups has no limit of theirs."""
    assert cgroup_limit_bytes(tmp_path / "none", tmp_path) is None


def test_default_follows_the_number_of_workers() -> None:
    """More workers get less each, and a number of bytes that was set stands."""
    each = WorkersConfig(processes=1).memory_bytes
    assert each == worker_bytes(1, available_bytes())
    assert WorkersConfig(processes=200).memory_bytes == worker_bytes(200, available_bytes())
    assert WorkersConfig(processes=200, memory_bytes=2**30).memory_bytes == 2**30


@pytest.mark.parametrize(
    ("media", "more_bytes"),
    [
        ({"height": 360, "max_seconds": 60}, 0),
        ({"height": 240, "max_seconds": 20}, 0),
        ({"height": 1080, "max_seconds": 60}, 140 * (1080 * 1920 - 360 * 640) * 1.5),
        ({"height": 360, "max_seconds": 600}, (1025.6 - 140) * 360 * 640 * 1.5),
        ({"height": 2160, "max_seconds": 600}, (1025.6 * 36 - 140) * 360 * 640 * 1.5),
    ],
)
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_default_follows_the_pictures_of_a_clip(
    media: dict[str, int], more_bytes: float, engine: str
) -> None:
    """A worker holds all of them: where they are large there are fewer workers, with more each."""
    job = JobConfig.model_validate({"media": media, "workers": {"engine": engine}})
    enough = ENOUGH_BYTES + int(more_bytes)
    assert abs(job.media.worker_needs_bytes - enough) <= 2  # rounded
    enough = job.media.worker_needs_bytes
    assert job.workers.memory_bytes >= enough
    assert job.workers.model_fields_set == {"engine"}
    if engine == "local":
        assert job.workers.processes <= max(1, (available_bytes() - MAIN_PROCESS_BYTES) // enough)
    else:
        assert job.workers.memory_bytes == max(2**30, enough)


def test_number_of_workers_and_their_memory_stand_where_they_are_set() -> None:
    """Large pictures change the defaults alone; what does not fit is said."""
    asked = {"processes": 64, "memory_bytes": 2**30}
    job = JobConfig.model_validate({"media": {"height": 2160}, "workers": asked})
    assert (job.workers.processes, job.workers.memory_bytes) == (64, 2**30)
    job = JobConfig.model_validate({"media": {"height": 2160}, "workers": {"processes": 3}})
    needed = job.media.worker_needs_bytes
    assert job.workers.memory_bytes >= needed
    assert overcommitment(3, job.workers.memory_bytes, 2 * needed, needed)
    assert not overcommitment(3, job.workers.memory_bytes, 4 * needed, needed)
