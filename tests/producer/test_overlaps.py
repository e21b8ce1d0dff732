"""Films that several sources name: what a row says of one is not lost, in whatever order."""

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from captionfleet.config import InputConfig, JobConfig
from captionfleet.messages import NO_ROW, Source
from captionfleet.producer.asking import telling_apart
from captionfleet.producer.walking.found import Found, Unusable
from captionfleet.producer.walking.walk import Walk


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Two films in a folder."""
    folder = tmp_path / "films"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(b"film")
    (folder / "deep/b.mp4").write_bytes(b"film")
    return folder


def walked(*sources: Path) -> tuple[list[Found], dict[str, int]]:
    """What a walk finds, and what it passes over."""
    walk = Walk(InputConfig(sources=sources), tells_apart=telling_apart(JobConfig()))
    return list(walk), dict(walk.passed_over)


def rows_of(found: Sequence[Found]) -> dict[str, tuple[str, str]]:
    """The id and the title of each film that is taken."""
    return {
        Path(one.path).name: (one.row.id, orjson.loads(one.row.metadata).get("title", ""))
        for one in found
        if isinstance(one, Source)
    }


def reasons(found: Sequence[Found]) -> list[str]:
    """Why rows are bad."""
    return [one.detail for one in found if isinstance(one, Unusable)]


def test_a_row_counts_before_a_folder(library: Path, tmp_path: Path) -> None:
    """Id and columns of a row are its film's, whether list or folder is named first."""
    table, plain = tmp_path / "rows.csv", tmp_path / "plain.txt"
    table.write_text("path,id,title\nfilms/a.mp4,one,First\n")
    plain.write_text("films/a.mp4\n")
    expected = {"a.mp4": ("one", "First"), "b.mp4": ("", "")}
    for sources in ((library, table), (table, library), (library / "a.mp4", plain, library, table)):
        found, passed_over = walked(*sources)
        assert rows_of(found) == expected
        assert passed_over == {"duplicate": len(sources) - 1}
        assert not reasons(found)


def test_a_row_of_a_folder_counts_before_the_folder(library: Path, tmp_path: Path) -> None:
    """Its columns are those of every film below, and a source above it takes the others."""
    table = tmp_path / "rows.csv"
    table.write_text("path,title\nfilms/deep,Deep\n")
    found, passed_over = walked(library, table)
    assert rows_of(found) == {"a.mp4": ("", ""), "b.mp4": ("", "Deep")}
    assert passed_over == {"duplicate": 1}


@pytest.mark.usefixtures("library")
def test_a_row_that_an_earlier_row_of_its_folder_covers_is_bad(tmp_path: Path) -> None:
    """Where it says anything else; a row of the film comes first, then one of its folder."""
    table = tmp_path / "rows.csv"
    table.write_text("path,id\nfilms/deep,\nfilms/deep/b.mp4,two\nfilms/a.mp4,one\nfilms,\n")
    found, passed_over = walked(table)
    assert rows_of(found) == {"b.mp4": ("", ""), "a.mp4": ("one", "")}
    (reason,) = reasons(found)
    assert reason.startswith("row 3: it names the same film and window as row 2, with another id")
    assert passed_over == {"duplicate": 2}


def test_rows_of_two_lists_that_contradict_each_other(library: Path, tmp_path: Path) -> None:
    """The later one is bad, and its reason names the row and the list that came first."""
    first, second = tmp_path / "first.csv", tmp_path / "second.jsonl"
    first.write_text("path,title\nfilms/a.mp4,First\nfilms/deep/b.mp4,Deep\n")
    second.write_text('{"path": "films/a.mp4", "id": "x"}\n{"path": "films/deep/b.mp4"}\n')
    found, passed_over = walked(library, first, second)
    assert rows_of(found) == {"a.mp4": ("", "First"), "b.mp4": ("", "Deep")}
    (bad,) = [one for one in found if isinstance(one, Unusable)]
    assert bad.source.path == str(second)
    assert bad.detail.startswith(
        f"row 1: it names the same film and window as row 2 of {first}, with another id"
    )
    assert passed_over == {"duplicate": 3}
    assert all(one.row is NO_ROW or one.row.number for one in found if isinstance(one, Source))
