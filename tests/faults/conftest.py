"""Every fault test runs without blocking calls on the loop and without long back-offs."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from captionfleet.sender import fleet
from captionfleet.sender.routing import replicas, retry
from captionfleet.sender.routing.replicas import Change


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Raise where code on the event loop of the sender blocks."""
    with blockbuster_ctx("captionfleet.sender"):
        yield


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back off for milliseconds; the real times are tested where nothing waits for them."""
    monkeypatch.setattr(retry, "_BASE_S", 0.01)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probe after a twentieth of a second; the real times are tested on a simulated clock."""
    monkeypatch.setattr(fleet, "_SURE_S", 0.3)
    monkeypatch.setattr(fleet, "_LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(replicas, "_NEW_S", 0.1)
    monkeypatch.setattr(replicas, "_KNOWN_S", 0.5)
    for kind in (Change.EJECTED, Change.REFUSING, Change.SATURATED, Change.SCALING_UP):
        monkeypatch.setitem(replicas._WAITS, kind, (0.05, 1.2, 0.2))
