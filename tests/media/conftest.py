"""The odd files, written once for all who read them."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest

from tests.support.odd_media import ODD
from tests.support.shared import shared_folder

_WHICH = ".which"  # of the files of a folder is the odd one; the others are what it refers to


@pytest.fixture(scope="session")
def odd_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where the odd file of a name is; it is to be read only."""

    def write(name: str, folder: Path) -> None:
        path = ODD[name](folder)
        assert path.parent == folder
        (folder / _WHICH).symlink_to(path.name)

    @cache
    def written(name: str) -> Path:
        folder = shared_folder(tmp_path_factory, f"odd-{name}", partial(write, name))
        return folder / (folder / _WHICH).readlink()

    return written
