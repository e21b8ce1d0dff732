"""The walk over real folders with hostile content."""

import ctypes
import os
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captionfleet.config import InputConfig
from captionfleet.messages import Source
from captionfleet.producer.walking.found import Unusable
from captionfleet.producer.walking.paging import sorted_names
from captionfleet.producer.walking.walk import Walk

ODD_NAMES = ("two\nlines.mp4", "🎬.mp4", 'it\'s "q".mp4', " .mp4", os.fsdecode(b"\xff\xfe.mp4"))


def walked(*sources: Path, page: int = 4, **choice: object) -> tuple[list[str], Counter[str]]:
    """The names that are taken, in order, and the counts of the rest."""
    walk = Walk(InputConfig.model_validate({"sources": sources, **choice}), page=page)
    found = list(walk)
    assert all(isinstance(one, Source) for one in found)
    return [one.name for one in found if isinstance(one, Source)], walk.passed_over


def put(path: Path, content: bytes = b"video") -> Path:
    """Make a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def by_folder(name: str) -> list[str]:
    """The order of a walk: depth first, every folder's content sorted."""
    return name.split("/")


def test_names_of_any_bytes_come_through(tmp_path: Path) -> None:
    """A name may hold a newline, quotes, an emoji or bytes that are not UTF-8."""
    for name in ODD_NAMES:
        put(tmp_path / name)

    names, passed_over = walked(tmp_path)

    assert names == sorted(ODD_NAMES)
    assert not passed_over


def test_a_source_tells_what_was_found(tmp_path: Path) -> None:
    """A source holds the path that opens it, the relative name, the size and the time."""
    path = put(tmp_path / "deep" / "a.mp4", b"12345")
    os.utime(path, ns=(1, -5_000_000_001))

    (source,) = Walk(InputConfig(sources=(tmp_path,)))

    where = str(tmp_path), str(path)
    assert source == Source(str(path), "deep/a.mp4", 5, -5_000_000_001, *where)


def test_a_relative_source_gives_paths_that_open_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source given relative to the working directory gives absolute paths."""
    path = put(tmp_path / "videos" / "a.mp4")
    monkeypatch.chdir(tmp_path)

    (source,) = Walk(InputConfig(sources=(Path("videos"),)))

    assert isinstance(source, Source)
    assert (source.path, source.name) == (str(path), "a.mp4")


@pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
def test_a_folder_of_any_size_is_listed_in_order(tmp_path: Path, page: int) -> None:
    """Every name comes once and in order, whatever the page."""
    expected = sorted(f"{number * 7919 % 50}.mp4" for number in range(14))
    for name in expected:
        put(tmp_path / name)

    assert list(sorted_names(str(tmp_path), page)) == expected


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    """Everything under a source is either taken or counted by its reason."""
    put(tmp_path / "a.mp4")
    put(tmp_path / ".hidden.mp4")
    put(tmp_path / ".git" / "b.mp4")
    put(tmp_path / "c.mp4.part")
    put(tmp_path / "d.mp4", b"")
    put(tmp_path / "notes.txt")
    put(tmp_path / "draft.MP4")
    put(tmp_path / "cut" / "e.mp4")
    os.mkfifo(tmp_path / "fifo.mp4")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.mp4"))
        names, passed_over = walked(tmp_path, exclude=("draft*", "cut/*"))

    assert names == ["a.mp4"]
    assert passed_over == {
        "hidden": 2,
        "partial": 1,
        "empty": 1,
        "not_video": 1,
        "excluded": 2,
        "not_a_file": 2,
    }


def test_links_that_are_not_followed(tmp_path: Path) -> None:
    """Only a link to a file inside the source that has no name of its own there is taken."""
    root, outside = tmp_path / "root", put(tmp_path / "outside" / "x.mp4")
    inside, stored = put(root / "a.mp4"), put(root / ".store" / "0a1b")
    (root / "outside.mp4").symlink_to(outside)
    (root / "alias.mp4").symlink_to(inside)
    (root / "stored.mp4").symlink_to(stored)
    (root / "broken.mp4").symlink_to(root / "nothing")
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    (root / "folder").symlink_to(outside.parent)
    (root / "up").symlink_to("..")
    (root / "null.mp4").symlink_to("/dev/null")
    (root / "notes.txt").symlink_to(outside)

    names, passed_over = walked(root)

    assert names == ["a.mp4", "stored.mp4"]
    assert passed_over == {
        "hidden": 1,
        "symlink_outside": 2,
        "alias": 1,
        "broken_symlink": 2,
        "symlink_folder": 2,
        "not_video": 1,
    }


def test_links_that_are_followed(tmp_path: Path) -> None:
    """With follow_symlinks a link leads out of the source, never round in a circle."""
    root, outside = tmp_path / "root", put(tmp_path / "outside" / "x.mp4").parent
    put(root / "a.mp4")
    (root / "b.mp4").symlink_to(outside / "x.mp4")
    (root / "folder").symlink_to(outside)
    (root / "up").symlink_to(tmp_path)
    (outside / "back").symlink_to(root)
    (outside / "self").symlink_to(".")

    names, passed_over = walked(root, follow_symlinks=True)

    assert names == ["a.mp4", "b.mp4"]
    assert passed_over == {"duplicate": 3, "alias": 7}


def test_two_links_to_one_file_are_captioned_once(tmp_path: Path) -> None:
    """A file that two links lead to is taken under the first."""
    stored = put(tmp_path / ".store" / "0a1b")
    (tmp_path / "a.mp4").symlink_to(stored)
    (tmp_path / "b.mp4").symlink_to(stored)

    names, passed_over = walked(tmp_path)

    assert names == ["a.mp4"]
    assert passed_over == {"hidden": 1, "alias": 1}


def test_overlapping_sources(tmp_path: Path) -> None:
    """A file under several sources is taken under the first that reaches it."""
    put(tmp_path / "a" / "x.mp4")
    put(tmp_path / "a" / "b" / "y.mp4")
    put(tmp_path / "a" / ".c" / "z.mp4")
    deep, middle, hidden = (tmp_path / below for below in ("a/b", "a", "a/.c"))

    assert walked(middle, deep, middle, hidden) == (
        ["b/y.mp4", "x.mp4", "z.mp4"],
        {"hidden": 2, "duplicate": 3},
    )
    assert walked(deep, middle) == (["y.mp4", "x.mp4"], {"hidden": 1, "duplicate": 1})
    assert walked(deep / "y.mp4", middle, deep / "y.mp4") == (
        ["y.mp4", "x.mp4"],
        {"hidden": 1, "duplicate": 2},
    )


def test_the_same_name_size_and_time_in_two_sources_are_two_files(tmp_path: Path) -> None:
    """Two cameras may write files of the same name, size and time: both are taken."""
    for folder in ("one", "two"):
        os.utime(put(tmp_path / folder / "a.mp4"), ns=(1, 1))
        os.utime(put(tmp_path / folder / "b.mp4"), ns=(1, 2 if folder == "one" else 3))

    names, passed_over = walked(tmp_path / "one", tmp_path / "two")

    assert names == ["a.mp4", "b.mp4", "a.mp4", "b.mp4"]
    assert not passed_over


def test_a_file_that_is_named_is_taken_as_it_is(tmp_path: Path) -> None:
    """A file named as a source may have any ending, be hidden or be a link."""
    put(tmp_path / ".hidden.bin")
    (tmp_path / "link").symlink_to(put(tmp_path / "x"))

    assert walked(tmp_path / ".hidden.bin", tmp_path / "link")[0] == [".hidden.bin", "link"]


def test_an_empty_file_that_is_named_is_a_failure(tmp_path: Path) -> None:
    """Somebody who names an empty file is told so."""
    (found,) = Walk(InputConfig(sources=(put(tmp_path / "a.mp4", b""),)))

    assert isinstance(found, Unusable)
    assert found.code == "empty_file"


@contextmanager
def without_privileges() -> Iterator[None]:
    """Let the system check permissions although the tests may run as root (this thread only)."""
    libc = ctypes.CDLL(None)
    libc.setfsuid(65534 if os.getuid() == 0 else os.getuid())
    try:
        yield
    finally:
        libc.setfsuid(os.getuid())


def test_a_folder_that_cannot_be_read_does_not_end_the_walk() -> None:
    """A folder that the system refuses to list is counted, and the walk goes on."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        for below in ("a.mp4", "b/x.mp4", "c/y.mp4", "z.mp4"):
            put(root / below)
        (root / "b").chmod(0)
        (root / "c").chmod(0o444)
        with without_privileges():
            names, passed_over = walked(root)
        (root / "b").chmod(0o755)
        (root / "c").chmod(0o755)

    assert names == ["a.mp4", "z.mp4"]
    assert passed_over == {"unreadable_folder": 1, "unreadable": 1}


busy_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Tree = dict[str, "Tree | int"]
"""Names to folders, or to sizes in bytes."""

tree_names = st.sampled_from(
    ("a", "b", "a.mp4", "b.MOV", "\n.mp4", "🎬.mp4", os.fsdecode(b"\xff.mp4"), ".h", "a.txt", "ab")
)
trees = st.recursive(
    st.dictionaries(tree_names, st.integers(0, 3), max_size=5),
    lambda below: st.dictionaries(tree_names, st.integers(0, 3) | below, max_size=5),
    max_leaves=12,
)


def grow(tree: Tree, folder: Path, sizes: Iterator[int]) -> None:
    """Make the tree; all files but the empty ones differ in size."""
    folder.mkdir(exist_ok=True)
    for name, below in tree.items():
        if isinstance(below, int):
            (folder / name).write_bytes(bytes(below and next(sizes)))
        else:
            grow(below, folder / name, sizes)


def folders_of(tree: Tree, path: str = ".") -> Iterator[str]:
    """The paths of all folders in the tree."""
    yield path
    for name, below in tree.items():
        if isinstance(below, dict):
            yield from folders_of(below, f"{path}/{name}")


def wanted(folder: Path) -> set[str]:
    """What a walk of this folder must take, found in the simplest way."""
    files = (Path(top, name) for top, _, names in os.walk(folder) for name in names)
    below = {str(path.relative_to(folder)) for path in files if path.stat().st_size}
    return {
        name
        for name in below
        if name.lower().endswith((".mp4", ".mov"))
        and not any(part.startswith(".") for part in name.split("/"))
    }


@settings(busy_machine, max_examples=60)
@given(trees, st.integers(1, 4))
def test_any_tree_gives_each_wanted_file_once_and_in_order(tree: Tree, page: int) -> None:
    """Whatever the tree and the page, each wanted file comes exactly once, in order."""
    with tempfile.TemporaryDirectory() as root:
        grow(tree, Path(root), iter(range(1, 1000)))

        names, _ = walked(Path(root), page=page)

        assert names == sorted(wanted(Path(root)), key=by_folder)


@settings(busy_machine, max_examples=100)
@given(st.data(), trees)
def test_any_sources_and_links_give_each_wanted_file_once(data: st.DataObject, tree: Tree) -> None:
    """Overlapping sources and followed links give each real file that is wanted exactly once."""
    folders = sorted(folders_of(tree))
    some_folder = st.sampled_from(folders)
    links = data.draw(st.lists(st.tuples(some_folder, some_folder), max_size=4), "links")
    sources = data.draw(st.lists(some_folder, min_size=1, max_size=4), "sources")
    with tempfile.TemporaryDirectory() as root:
        grow(tree, Path(root), iter(range(1, 1000)))
        expected = {
            os.path.realpath(Path(root, source, name))
            for source in sources
            for name in wanted(Path(root, source))
        }
        for number, (here, there) in enumerate(links):
            Path(root, here, f"link{number}").symlink_to(Path(root, there))
        config = InputConfig(sources=tuple(Path(root, s) for s in sources), follow_symlinks=True)

        taken = [
            os.path.realpath(found.path) for found in Walk(config) if isinstance(found, Source)
        ]

        assert len(taken) == len(set(taken))
        assert expected <= set(taken)
