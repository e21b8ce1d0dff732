"""One of several disks is an empty mount point for a night: what exports hold of it stays."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from captionfleet.config import CaptionConfig, ExportConfig
from captionfleet.export.export import export_lines
from captionfleet.ledger.files.index import State
from captionfleet.producer.current import find_lines
from tests.support.library import film, line, with_media, write_lines

DISKS = ("a", "b", "c")


def export(folder: Path, to: str, **keys: object) -> str:
    """What an export says that it did."""
    return str(
        export_lines(folder, ExportConfig.model_validate({"to": to, **keys}), CaptionConfig())
    )


@contextmanager
def unmounted(disk: Path) -> Iterator[None]:
    """The disk's mount point is an empty folder."""
    away = disk.with_name(f"{disk.name} away")
    disk.rename(away)
    disk.mkdir()
    yield
    disk.rmdir()
    away.rename(disk)


def library(root: Path) -> Path:
    """The folder of a run over three disks, each with a film of one name, and a full store."""
    films = [film(root / disk, "beach.mp4", disk.encode() * 9) for disk in DISKS]
    lines = [
        line(one, f"On {disk}.", **with_media(root / "store", number))
        for number, (one, disk) in enumerate(zip(films, DISKS, strict=True))
    ]
    folder = write_lines(root / "out", lines)
    sources = [os.fspath(root / disk) for disk in DISKS]
    (folder / "run.json").write_bytes(orjson.dumps({"settings": {"input": {"sources": sources}}}))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder and what is in them."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("disk", DISKS)
def test_shards_keep_the_clips_of_an_absent_disk(tmp_path: Path, disk: str) -> None:
    """They are not left out for good, though the store has evicted their media since."""
    folder = library(tmp_path)
    keys = {"media": tmp_path / "store", "shard_clips": 2}
    export(folder, "webdataset", **keys)
    made = folder / "export/webdataset"
    before = content(made)
    shutil.rmtree(tmp_path / "store")
    with unmounted(tmp_path / disk):
        said = export(folder, "webdataset", **keys)
        assert "1 of them kept while their files are away" in said
        assert "left out" not in said
    assert content(made) == before
    assert "3 clips as they were" in export(folder, "webdataset", **keys)
    film(tmp_path / disk, "beach.mp4", b"another film")
    assert "1 lines of files that changed since" in export(folder, "webdataset", **keys)
    assert content(made) != before


@pytest.mark.parametrize("disk", DISKS)
def test_texts_in_a_folder_keep_their_names(tmp_path: Path, disk: str) -> None:
    """Another disk's film of the same name does not take the name of the absent one's text."""
    folder, out = library(tmp_path), tmp_path / "texts"
    export(folder, "txt", out=out)
    before = content(out)
    assert sorted(before.values()) == [b"On a.\n", b"On b.\n", b"On c.\n"]
    with unmounted(tmp_path / disk):
        assert "removed" not in export(folder, "txt", out=out)
        assert content(out) == before
    export(folder, "txt", out=out)
    assert content(out) == before


@pytest.mark.parametrize("to", ["csv", "jsonl", "kohya", "musubi"])
def test_tables_hold_what_is_there_and_say_so(tmp_path: Path, to: str) -> None:
    """A table lists the films that are there; those of the absent disk are back with it."""
    folder = library(tmp_path)
    export(folder, to)
    (made,) = (folder / "export").iterdir()
    before = made.read_bytes()
    with unmounted(tmp_path / "a"):
        assert "is the disk mounted?" in export(folder, to)
        assert b"On a." not in made.read_bytes()
    export(folder, to)
    assert made.read_bytes() == before


@pytest.mark.parametrize("mount", ["mnt/b", "mnt/b/films/2024"])
def test_a_disk_below_a_source_is_absent(tmp_path: Path, mount: str) -> None:
    """Films of an empty folder within a source, or of a list over several disks, are not gone."""
    films = [film(tmp_path / "mnt", f"{disk}/films/2024/1.mp4") for disk in "ab"]
    lines = [line(one, "x", source=one.path, root=os.fspath(tmp_path)) for one in films]
    folder = write_lines(tmp_path / "out", lines)
    with unmounted(tmp_path / mount), find_lines(folder) as found:
        assert found.index.counts() == {State.CURRENT: 1, State.UNREACHABLE: 1}
    (tmp_path / "mnt/b/films/2024/1.mp4").unlink()
    film(tmp_path / "mnt/b/films/2024", "2.mp4")
    with find_lines(folder) as found:
        assert found.index.counts() == {State.CURRENT: 1, State.GONE: 1}


def test_films_known_by_content_are_not_gone_with_their_disk(tmp_path: Path) -> None:
    """Also if another disk has a film with the name of one of them."""
    folder = library(tmp_path)
    names = ("a/beach.mp4", "a/only.mp4", "b/beach.mp4")
    films = [film(tmp_path / name[0], name[2:], name.encode()) for name in names]
    ids = [orjson.loads(line(one, "x"))["clip_id"] for one in films]
    keys = [{"clip_id": f"{n:032x}", "stat_id": one} for n, one in enumerate(ids, 1)]
    lines = [line(one, "x", **each) for one, each in zip(films, keys, strict=True)]
    write_lines(folder, lines)
    with unmounted(tmp_path / "a"), find_lines(folder) as found:
        states = [entry.state for entry in found.index.entries(frozenset(State))]
        assert states == [State.UNSURE, State.UNREACHABLE, State.CURRENT]


def test_a_film_whose_time_changed_stays_in_its_shard(tmp_path: Path) -> None:
    """With identity = "content", until the next run finds that it holds something else."""
    one = film(tmp_path / "videos", "a.mp4")
    other = film(tmp_path / "videos", "b.mp4")
    made = [with_media(tmp_path / "store", number) for number in range(3)]
    ids = {"clip_id": "a" * 32, "stat_id": orjson.loads(line(one, "x"))["clip_id"]}
    lines = [line(one, "First.", **made[0], **ids), line(other, "Other.", **made[1])]
    folder = write_lines(tmp_path / "out", lines)
    export(folder, "webdataset", media=tmp_path / "store")
    shutil.rmtree(tmp_path / "store")
    changed = film(tmp_path / "videos", "a.mp4", b"changed")
    assert "2 clips as they were, 1 of them kept" in export(
        folder, "webdataset", media=tmp_path / "store"
    )
    made[2] = with_media(tmp_path / "store", 2)
    write_lines(folder, [*lines, line(changed, "Second.", **made[2])])
    said = export(folder, "webdataset", media=tmp_path / "store")
    assert "2 clips written" in said
    assert "kept" not in said
