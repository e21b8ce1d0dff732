"""Fixtures for every test."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, the backend that aiohttp needs."""
    return "asyncio"
