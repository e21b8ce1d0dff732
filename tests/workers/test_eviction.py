"""The media store stays within its bound: who goes, and what never goes."""

import os
import threading
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from captionfleet.workers.eviction import Entry, choose_victims, entries, evict, stored_bytes

ENTRIES = st.lists(
    st.builds(
        Entry,
        st.integers(0, 10**6).map(str),
        st.integers(1, 1000),
        st.integers(0, 50),
        st.booleans(),
    ),
    unique_by=lambda entry: entry.base,
    max_size=30,
)


@settings(deadline=None)
@given(ENTRIES, st.integers(-100, 20_000))
def test_victims_are_the_fewest_least_recently_used(found: list[Entry], excess: int) -> None:
    """As a plain model has it: the oldest that nobody holds, until enough is freed."""
    by_age = sorted(found, key=lambda one: (-one.used_ns, one.base), reverse=True)
    expected, freed_bytes = [], 0
    for entry in by_age:
        if freed_bytes < excess and not entry.is_held:
            expected.append(entry)
            freed_bytes += entry.size_bytes
    assert choose_victims(iter(found), excess) == expected


def put(store: Path, key: str, used_s: int, *endings: str) -> Path:
    """An entry of 100 bytes a file, last used at a time."""
    base = store / key[:2] / key
    base.parent.mkdir(parents=True, exist_ok=True)
    for ending in endings or (".mp4", ".ogg", ".json"):
        file = base.with_suffix(ending)
        file.write_bytes(bytes(100))
        os.utime(file, (used_s, used_s))
    return base


def keys(store: Path) -> set[str]:
    """The keys whose facts are there."""
    return {path.stem for path in store.glob("??/*.json")}


def test_oldest_entries_go_with_all_their_files(tmp_path: Path) -> None:
    """Eviction frees at least what is asked, oldest use first, and leaves no file of an entry."""
    for number in range(5):
        put(tmp_path, f"{number:040x}", used_s=1000 - number)
    assert stored_bytes(tmp_path) == 1500
    assert evict(tmp_path, 301) == 600
    assert keys(tmp_path) == {f"{number:040x}" for number in range(3)}
    assert stored_bytes(tmp_path) == 900


def test_a_hit_counts_as_use(tmp_path: Path) -> None:
    """The youngest time of an entry's files is what counts."""
    old = put(tmp_path, "aa" + "0" * 38, used_s=1000)
    put(tmp_path, "ab" + "0" * 38, used_s=2000)
    os.utime(old.with_suffix(".json"), (3000, 3000))
    evict(tmp_path, 1)
    assert keys(tmp_path) == {old.name}


def test_held_entries_stay(tmp_path: Path) -> None:
    """An entry that a clip holds by another name is not evicted, however old."""
    held = put(tmp_path, "aa" + "0" * 38, used_s=1)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "1.mp4").hardlink_to(held.with_suffix(".mp4"))
    put(tmp_path, "ab" + "0" * 38, used_s=2000)
    assert evict(tmp_path, 10_000) == 300
    assert keys(tmp_path) == {held.name}


def test_what_is_no_entry_is_not_touched(tmp_path: Path) -> None:
    """Folders and files that the store did not make are neither counted nor removed."""
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "film.mp4").write_bytes(bytes(100))
    (tmp_path / "zz").mkdir()
    (tmp_path / "zz" / "film.mp4").write_bytes(bytes(100))
    (tmp_path / "ab").write_bytes(b"a file")
    assert list(entries(tmp_path)) == []
    assert evict(tmp_path, 1000) == 0


def test_leftovers_of_a_killed_writer_are_evicted(tmp_path: Path) -> None:
    """Media whose facts never came into place count, and go like any entry."""
    put(tmp_path, "aa" + "0" * 38, 1000, ".mp4")
    assert evict(tmp_path, 1) == 100
    assert not list(tmp_path.glob("??/*"))


def test_walk_goes_on_while_entries_vanish(tmp_path: Path) -> None:
    """Files that another run evicts in the middle of a walk are left out."""
    for number in range(300):
        put(tmp_path, f"aa{number:038x}", 1000)
    walk = [threading.Thread(target=evict, args=(tmp_path, 10**9)) for _ in range(3)]
    for thread in walk:
        thread.start()
    while any(thread.is_alive() for thread in walk):
        assert all(entry.size_bytes for entry in entries(tmp_path))
    for thread in walk:
        thread.join()
    assert stored_bytes(tmp_path) == 0
