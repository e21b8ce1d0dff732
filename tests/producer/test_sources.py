"""Sources as they are named, and lists of them."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captionfleet.config import InputConfig
from captionfleet.errors import ConfigError
from captionfleet.messages import Source
from captionfleet.producer import sources
from captionfleet.producer.sources import check_sources, list_entries
from captionfleet.producer.walking.found import Unusable
from captionfleet.producer.walking.walk import Walk


def walk(*names: Path) -> list[tuple[str, str]]:
    """Each found file's name with its failure code, empty where it is usable."""
    return [
        (found.source.name, found.code) if isinstance(found, Unusable) else (found.name, "")
        for found in Walk(InputConfig(sources=names))
    ]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"a")
    (tmp_path / "videos" / "b.mp4").write_bytes(b"bb")
    (tmp_path / "odd name\xe9.bin").write_bytes(b"ccc")
    return tmp_path


def test_a_list_names_files_and_folders(library: Path) -> None:
    """A list's lines are taken in their order, relative to its folder, as they are written."""
    listing = library / "all.txt"
    absolute = library / "videos" / "a.mp4"
    listing.write_text(f"\ufeffodd name\xe9.bin\r\n\n   \n{absolute}\nvideos\n./videos/b.mp4\n")

    assert walk(listing) == [
        ("odd name\xe9.bin", ""),
        (str(absolute), ""),
        ("videos/b.mp4", ""),
    ]


def test_a_list_and_a_folder_that_overlap(library: Path) -> None:
    """A folder that is listed and named is walked once, under whichever comes first."""
    listing = library / "all.txt"
    listing.write_text("videos\n")

    listed = [("videos/a.mp4", ""), ("videos/b.mp4", "")]
    assert walk(listing, library / "videos", listing) == listed
    assert walk(library / "videos", listing) == [("a.mp4", ""), ("b.mp4", "")]


def test_a_nul_separates_where_there_is_one(library: Path) -> None:
    """A list as find -print0 writes it may hold names with newlines and other bytes."""
    names = [b"two\nlines.mp4", b"\xff.mp4", b" \r"]
    for name in names:
        Path(os.fsdecode(os.fsencode(library) + b"/" + name)).write_bytes(name)
    (library / "all.lst").write_bytes(b"\0".join(names) + b"\0")

    assert walk(library / "all.lst") == [(os.fsdecode(name), "") for name in names]


def test_a_line_that_cannot_be_had_is_a_failure(library: Path) -> None:
    """A listed file that is missing or unreadable gets a failure, once."""
    (library / "loop").symlink_to("loop")
    too_long = "x" * 5000
    listing = library / "all.txt"
    listing.write_text(f"gone.mp4\nvideos/a.mp4/below\nloop\n{too_long}\ngone.mp4\n")

    assert walk(listing) == [
        ("gone.mp4", "source_missing"),
        ("videos/a.mp4/below", "source_missing"),
        ("loop", "source_unreadable"),
        (too_long, "source_unreadable"),
    ]


def test_lists_do_not_nest(library: Path) -> None:
    """A list named in a list is a file like any other."""
    (library / "inner.txt").write_text("videos/a.mp4\n")
    (library / "outer.txt").write_text("inner.txt\n")

    assert walk(library / "outer.txt") == [("inner.txt", "")]


def test_a_listed_pipe_is_never_opened(library: Path) -> None:
    """A FIFO in a list is passed over; opening it would wait for ever."""
    os.mkfifo(library / "fifo.mp4")
    (library / "all.txt").write_text("fifo.mp4\n")
    walk = Walk(InputConfig(sources=(library / "all.txt",)))

    assert list(walk) == []
    assert walk.passed_over == {"not_a_file": 1}


def test_a_folder_may_be_called_like_a_list(tmp_path: Path) -> None:
    """A folder whose name ends in .txt is a folder."""
    (tmp_path / "videos.txt").mkdir()
    (tmp_path / "videos.txt" / "a.mp4").write_bytes(b"a")

    assert walk(tmp_path / "videos.txt") == [("a.mp4", "")]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.binary(min_size=1, max_size=5), min_size=1, max_size=8),
    st.integers(1, 7),
    st.sampled_from([b"\0", b"\n"]),
)
def test_entries_do_not_depend_on_how_a_list_is_read(
    tmp_path_factory: pytest.TempPathFactory, names: list[bytes], chunk_bytes: int, separator: bytes
) -> None:
    """Reading a list piece by piece gives what splitting it at once gives."""
    path = tmp_path_factory.mktemp("list") / "all.txt"
    content = b"".join(b"/" + name.replace(b"\0", b"") + separator for name in names)
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "_CHUNK_BYTES", chunk_bytes)

        entries = list(list_entries(path))

    expected = content.split(separator)
    if separator == b"\n":
        expected = [line.removesuffix(b"\r") for line in expected]
    assert entries == [os.fsdecode(line) for line in expected if line]


def test_a_video_called_like_a_list_is_refused(tmp_path: Path) -> None:
    """A file without line ends is no list, and memory stays small."""
    (tmp_path / "film.txt").write_bytes(b"x" * 2_000_000)

    with pytest.raises(ConfigError, match="is this a list"):
        walk(tmp_path / "film.txt")


def check(*names: Path) -> str:
    """The message of the error."""
    with pytest.raises(ConfigError) as caught:
        check_sources(InputConfig(sources=names))
    return str(caught.value)


def test_sources_are_checked_before_anything_starts(tmp_path: Path) -> None:
    """No source, a missing one and one that is no file are refused in one line that names it."""
    os.mkfifo(tmp_path / "fifo")

    assert "nothing to caption" in check()
    assert check(tmp_path, tmp_path / "a\nb") == (
        f"source {tmp_path}/a\\nb: No such file or directory"
    )
    assert "neither a file nor a folder" in check(tmp_path / "fifo")


def test_good_sources_pass_the_check(library: Path) -> None:
    """Files, folders and lists pass."""
    (library / "all.txt").write_text("gone\n")

    check_sources(InputConfig(sources=(library, library / "all.txt", library / "videos/a.mp4")))


def test_a_linked_folder_is_walked_when_it_is_named(library: Path) -> None:
    """A link named as a source is followed without being asked to."""
    (library / "link").symlink_to("videos")

    found = list(Walk(InputConfig(sources=(library / "link",))))

    assert [(one.name, one.path) for one in found if isinstance(one, Source)] == [
        ("a.mp4", str(library / "link" / "a.mp4")),
        ("b.mp4", str(library / "link" / "b.mp4")),
    ]
