"""Workers on a Ray cluster, as far as no cluster is needed: tests/ray has the rest."""

import sys
from typing import Any

import anyio
import orjson
import pytest

from captionfleet.check.check import _cluster
from captionfleet.config import JobConfig, WorkersConfig
from captionfleet.errors import ConfigError
from captionfleet.report.nodes import nodes_table
from captionfleet.telemetry import Tally
from captionfleet.workers.cluster import task
from captionfleet.workers.cluster.cluster import open_cluster
from captionfleet.workers.cluster.refusals import Refusals
from captionfleet.workers.lookahead import Lookahead

pytestmark = pytest.mark.anyio


def ray_job(**workers: Any) -> JobConfig:
    """A job on a cluster."""
    return JobConfig.model_validate({"workers": {"engine": "ray", **workers}})


async def opened(job: JobConfig) -> None:
    """Connect to the job's cluster."""
    async with open_cluster(job, Tally()):
        pass


async def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Ray, the error says in one line what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'captionfleet\[ray\]'"):
        await opened(ray_job())


async def test_check_says_so_before_a_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that cannot be used is a finding of `captionfleet check`."""
    monkeypatch.setitem(sys.modules, "ray", None)
    (finding,) = await _cluster(ray_job())
    assert finding.level == "fail"
    assert "captionfleet[ray]" in finding.text
    assert await _cluster(JobConfig()) == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://head:10001", "ray job submit"),
        ("head", "not HOST:PORT"),
        ("head:x", "not HOST:PORT"),
        (":6379", "not HOST:PORT"),
    ],
)
async def test_addresses_that_are_none(
    monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    """Before anything is connected to; Ray's own variable is read as well."""
    monkeypatch.setattr("captionfleet.workers.cluster.ray_session._imported", lambda: None)
    with pytest.raises(ConfigError, match=words):
        await opened(ray_job(address=address))
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConfigError, match=words):
        await opened(ray_job())


async def test_workers_of_this_machine_need_no_ray() -> None:
    """The job stays as it is."""
    job = JobConfig()
    async with open_cluster(job, Tally()) as (settled, cluster):
        assert settled is job
        assert cluster is None


def test_a_cluster_has_more_workers_than_one_machine() -> None:
    """Each with the same memory, whatever machine the run is on."""
    remote = WorkersConfig(engine="ray", processes=2000)
    assert remote.memory_bytes == 2**30
    assert remote.processes_here == WorkersConfig().processes
    with pytest.raises(ValueError, match="at most 1,024 on one machine"):
        WorkersConfig(processes=2000)


def test_versions_that_differ_are_named() -> None:
    """With both, so that one knows which machine to mend."""
    here = task.versions_here()
    assert task._differences(here) == ""
    assert task._differences(here | {"PyAV": "1.0"}) == f"PyAV is {here['PyAV']}, and 1.0 here"


def test_code_of_two_checkouts_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the version is the same."""
    before = task.versions_here()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert task.versions_here() != before


def test_dead_node_is_no_hope() -> None:
    """A node that is not yet known to be dead delays the verdict on the others, no longer."""
    refusals = Refusals()
    assert refusals.add("a", "a: no sources", 0)
    assert not refusals.add("a", "a: no sources", 1)
    assert refusals.hopeless(["a", "dying"], 2) == ""
    assert refusals.hopeless(["a"], 3) == "a: no sources"
    assert refusals.hopeless([], 3) == ""


def test_refused_nodes_get_another_chance() -> None:
    """After five minutes each."""
    refusals = Refusals()
    refusals.add("b", "b: full", 0)
    refusals.add("a", "a: full", 200)
    assert refusals.current(299) == ("a", "b")
    assert refusals.current(301) == ("a",)
    assert refusals.hopeless(["a", "b"], 301) == ""
    assert refusals.add("b", "b: full", 301)


async def test_lookahead_holds_back_while_media_wait() -> None:
    """One clip more than fits may wait; then none is begun until one is taken."""
    ahead = Lookahead(100)
    with ahead.waiting(100), anyio.fail_after(5):
        await ahead.room()
        with ahead.waiting(1):
            with anyio.move_on_after(0) as early:
                await ahead.room()
            assert early.cancelled_caught
        await ahead.room()


def test_nodes_in_the_report() -> None:
    """The busiest first; what an odd run.json holds is left out."""
    nodes = {"a": {"clips": 1, "refused": ""}, "b": {"clips": 3, "cpu_s": 2.5}, "c": {"clips": "x"}}
    run = orjson.loads(orjson.dumps({"nodes": nodes, "lost_with_nodes": 2}))
    table = nodes_table(run)
    assert [row["name"] for row in table["rows"]] == ["b", "a", "c"]
    assert table["rows"][0]["cpu_s"] == 2.5
    assert table["lost"] == 2
    assert nodes_table({})["rows"] == []
