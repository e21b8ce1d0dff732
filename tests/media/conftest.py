"""The odd files, written once for all who read them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.support.odd_media import ODD


@pytest.fixture(scope="session")
def odd_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where the odd file of a name is; it is to be read only."""

    @cache
    def written(name: str) -> Path:
        folder = tmp_path_factory.mktemp("odd")
        path = ODD[name](folder)
        assert path.parent == folder
        return path

    return written
