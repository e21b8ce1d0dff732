"""The canary's clips, drawn once."""

import anyio
import pytest

from captionfleet.check.drawing import DrawnClip, draw_canary
from captionfleet.config import JobConfig


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[DrawnClip]:
    """The three clips, with digits that differ from session to session."""
    return anyio.run(draw_canary, JobConfig(), tmp_path_factory.mktemp("canary"))
