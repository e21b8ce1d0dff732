"""File descriptors for the requests in flight."""

import resource
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from captionfleet.config import JobConfig
from captionfleet.watch.descriptors import descriptors_needed, within_descriptors

FILES = resource.RLIMIT_NOFILE


@pytest.fixture(autouse=True)
def limits() -> Iterator[tuple[int, int]]:
    soft_and_hard = resource.getrlimit(FILES)
    yield soft_and_hard
    resource.setrlimit(FILES, soft_and_hard)


def job(max_in_flight: int) -> JobConfig:
    """A job with one deployment."""
    deployment = {"base_url": "http://h/v1", "model": "m", "max_in_flight": max_in_flight}
    return JobConfig.model_validate({"deployments": [deployment], "workers": {"processes": 1}})


def test_soft_limit_is_raised_as_needed(limits: tuple[int, int]) -> None:
    """A low soft limit is no obstacle, and one that is high enough stays."""
    _, hard = limits
    resource.setrlimit(FILES, (256, hard))
    within_descriptors(job(1))
    assert resource.getrlimit(FILES)[0] == 256
    within_descriptors(job(200))
    assert resource.getrlimit(FILES)[0] == descriptors_needed(job(200)) > 600


@pytest.mark.parametrize(("hard", "ceiling"), [(368, 100), (70, 1)])
def test_hard_limit_bounds_what_is_in_flight(
    hard: int, ceiling: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system allows too little, fewer requests are in flight, and one line says so."""
    changed: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: changed.append(limit))
    with structlog.testing.capture_logs() as logs:
        lowered = within_descriptors(job(200))
    monkeypatch.undo()
    assert changed == [(hard, hard)]
    assert [one.max_in_flight for one in lowered.deployments] == [ceiling]
    (line,) = logs
    assert "ulimit -Hn" in line["event"]
