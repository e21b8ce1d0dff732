"""The mark of a run in its output folder: it stays where the run did not end."""

import os
from pathlib import Path

import orjson
import pytest

from captionfleet.errors import OutputError
from captionfleet.ledger.files.lock import FolderLock, RunLock
from captionfleet.ledger.past_runs import unended_since

SINCE = "2026-11-25T00:00:00.000Z"


def mark(folder: Path, *, pid: int = 7, host: str = "h") -> bytes:
    """Leave what a killed run leaves."""
    raw = orjson.dumps({"pid": pid, "host": host, "since_utc": SINCE})
    (folder / ".lock-holder.json").write_bytes(raw)
    return raw


def test_a_run_that_ended_leaves_no_mark(tmp_path: Path) -> None:
    """The next run that ends also removes the mark of a killed one."""
    mark(tmp_path)
    lock = RunLock(tmp_path)
    assert unended_since(tmp_path) > SINCE
    lock.begin()
    lock.end()
    lock.release()

    assert unended_since(tmp_path) == ""


def test_a_run_that_cannot_say_how_it_ended_leaves_its_mark(tmp_path: Path) -> None:
    """On a full disk, for instance, run.json is still that of an earlier run."""
    lock = RunLock(tmp_path)
    since = unended_since(tmp_path)
    lock.begin()
    lock.release()

    assert unended_since(tmp_path) == since > SINCE
    FolderLock(tmp_path).release()  # and delays no other command


@pytest.mark.parametrize("lock", [FolderLock, RunLock])
def test_who_changes_nothing_leaves_the_mark_as_it_was(
    lock: type[FolderLock], tmp_path: Path
) -> None:
    """A run that is refused before it began, and a command that is no run."""
    lock(tmp_path).release()
    assert unended_since(tmp_path) == ""

    left = mark(tmp_path)
    lock(tmp_path).release()
    assert (tmp_path / ".lock-holder.json").read_bytes() == left


def test_a_dead_process_is_not_named_as_holder(tmp_path: Path) -> None:
    """While a merge reads a killed shard, a run is not sent to look for a process that is gone."""
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    mark(tmp_path, pid=child, host=os.uname().nodename)
    lock = FolderLock(tmp_path)
    with pytest.raises(OutputError, match="another run holds"):
        RunLock(tmp_path)
    mark(tmp_path, pid=child)
    with pytest.raises(OutputError, match=rf"pid {child} on host h since"):
        RunLock(tmp_path)
    lock.release()
