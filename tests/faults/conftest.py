"""Every fault test runs without blocking calls on the loop."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Raise where code on the event loop of the sender blocks."""
    with blockbuster_ctx("captionfleet.sender"):
        yield
