"""The canary's clips, drawn once."""

from collections.abc import Iterator

import anyio
import pytest

from captionfleet.check.drawing import DrawnClip, draw_canary
from captionfleet.config import JobConfig
from captionfleet.sender.routing import retry


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[DrawnClip]:
    """The three clips, with digits that differ from session to session."""
    return anyio.run(draw_canary, JobConfig(), tmp_path_factory.mktemp("canary"))


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Back off for milliseconds."""
    monkeypatch.setattr(retry, "_BASE_S", 0.01)
    return iter(())
