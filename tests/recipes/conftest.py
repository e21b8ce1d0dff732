"""A stand-in deployment and a clip for the recipes that are carried out."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tiny_films import write_tiny_films

KEY = "hush"


@pytest.fixture(scope="session")
def standin_url() -> Iterator[str]:
    """The base URL of a stand-in that asks for a key."""
    command = ["serve", "--port=0", "--api-key-env=STANDIN_KEY"]
    with subprocess.Popen(
        [sys.executable, "-m", "captionfleet", *command],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"STANDIN_KEY": KEY},
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A library of one clip."""
    folder = tmp_path / "srv" / "videos"
    write_tiny_films(folder, 1)
    return folder
