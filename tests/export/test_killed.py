"""Exports that are killed and run again."""

from pathlib import Path

import pytest

from tests.support.killed_export import KilledExports

_FILES = {
    "txt": 100, "srt": 100, "vtt": 100, "csv": 1, "jsonl": 1, "kohya": 1, "musubi": 1,
    "webdataset": 4,
}  # fmt: skip


@pytest.mark.parametrize("to", _FILES)
def test_killed_and_run_again_it_ends_the_same(tmp_path: Path, to: str) -> None:
    """However far an export came before SIGKILL, the next one makes what one in peace makes."""
    assert len(KilledExports(tmp_path, to).check()) == _FILES[to]
