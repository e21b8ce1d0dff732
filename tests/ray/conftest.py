"""A Ray cluster of two nodes for the whole session, and what runs on it need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.output import Output
from tests.support.ray_cluster import RayCluster, ray_cluster
from tests.support.tiny_films import Library, shared_library

pytest.importorskip("ray", reason="Ray is not installed: make test-ray")


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayCluster]:
    """A head on 127.0.0.1 and a node on 127.0.0.2, of one CPU each."""
    with ray_cluster() as started:
        started.add_node(2)
        yield started


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Films of one to three seconds."""
    return shared_library(tmp_path_factory)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command, in a process of its own: Ray is not for processes that forked."""
    return Command(tmp_path)


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """The folder `out` in the test's own folder."""
    return Output(tmp_path / "out")
