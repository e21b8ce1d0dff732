"""Rows of lists: what they say, and what is wrong with them."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import InputConfig, JobConfig, MediaConfig
from captionfleet.errors import ConfigError, FailureCode
from captionfleet.messages import Row, Source
from captionfleet.producer.identity.clips import plan
from captionfleet.producer.lists.rows import BadRow, Entry, entry_of
from captionfleet.producer.sources import check_sources
from captionfleet.producer.walking.found import Unusable
from captionfleet.producer.walking.job_walk import walk_of
from captionfleet.producer.walking.walk import Walk


def test_a_row_says_all_that_it_has() -> None:
    """A row has a path, an id, a prompt, and the other columns as metadata."""
    record = {"Path": "a.mp4", "ID": 7, "prompt": "Who?", "start_s": "", "camera": "front", "n": 1}

    entry = entry_of(record, 3)

    assert isinstance(entry, Entry)
    assert entry == Entry("a.mp4", Row(3, "7", "Who?", metadata='{"camera":"front","n":1}'))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"name": "a.mp4"}, "names no film"),
        ({"path": ""}, "the path is empty"),
        ({"path": None}, "the path is empty"),
        ({"path": " "}, "the path is empty"),
        ({"path": 7}, "the path is not a text"),
        ({"path": ["a.mp4"]}, "the path is not a text"),
        ({"path": "a\0b"}, "NUL"),
        ({"path": "ftp://host/a.mp4"}, "ftp://"),
        ({"path": "s3://bucket"}, "names a bucket"),
        ({"path": "https://[x/a.mp4"}, "not the address"),
        ({"path": "a.mp4", "start_s": "soon"}, "start_s: 'soon'"),
        ({"path": "a.mp4", "end_s": -1}, "end_s"),
        ({"path": "a.mp4", "end_s": "nan"}, "end_s"),
        ({"path": "a.mp4", "start_s": 5, "end_s": 5}, "not after"),
        ({"path": "a.mp4", "end_s": "0"}, "not after"),
        ({"path": "a.mp4", "end_s": 10**400}, "not a number of seconds"),
        ({"path": "a.mp4", "start_s": 1e300}, "beyond the end of any film"),
        ({"path": "a.mp4", "prompt": ["x"]}, "prompt"),
        ({"path": "a.mp4", "prompt": "\ud800"}, "Unicode"),
        ({"path": "a.mp4", "id": 1.5}, "id"),
        ({"path": "a.mp4", "more": "\udcff"}, "Unicode"),
    ],
)
def test_a_bad_row_is_named(record: dict[str, Any], reason: str) -> None:
    """What is wrong with a row is said with its number."""
    bad = entry_of(record, 12)

    assert isinstance(bad, BadRow)
    assert bad.reason.startswith("row 12: ")
    assert reason in bad.reason


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(st.dictionaries(st.sampled_from("path id prompt start_s end_s x".split()), values))
def test_any_row_is_an_entry_or_a_bad_row(record: dict[str, Any]) -> None:
    """No value of a row raises."""
    entry = entry_of(record, 1)

    assert isinstance(entry, Entry | BadRow)
    if isinstance(entry, Entry) and entry.row:
        assert isinstance(orjson.loads(entry.row.metadata), dict)
        entry.row.prompt.encode()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_bytes(b"film")
    return tmp_path


def found(listing: Path) -> list[tuple[str, str, str]]:
    """Each row's file with its prompt, or its reason."""
    return [
        ("", "", one.detail) if isinstance(one, Unusable) else (one.name, one.row.prompt, "")
        for one in Walk(InputConfig(sources=(listing,)))
    ]


LISTS = {
    "comma.csv": '\ufeffpath,prompt\r\na.mp4,Who?\r\n\r\n,\r\n"b.mp4","two\nlines"\r\nc.mp4,,1\r\n',
    "semicolon.csv": 'id;Path;prompt\n1;a.mp4;Who?\n2;b.mp4;"two\nlines"\n3;c.mp4;;9\n',
    "tab.tsv": 'url\tprompt\na.mp4\tWho?\nb.mp4\t"two\nlines"\nc.mp4\t\t1\n',
    "lines.jsonl": '{"path": "a.mp4", "prompt": "Who?"}\n\n'
    '{"path": "b.mp4", "prompt": "two\\nlines"}\n[1]\n',
}


@pytest.mark.parametrize("name", LISTS)
def test_every_kind_of_list(library: Path, name: str) -> None:
    """Columns are found by their names, and one bad row spoils no other."""
    (library / name).write_text(LISTS[name])

    first, second, (_, _, reason) = found(library / name)

    assert (first, second) == (("a.mp4", "Who?", ""), ("b.mp4", "two\nlines", ""))
    assert reason.startswith("row 4: " if name != "comma.csv" else "row 6: ")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sales.csv", b"month,sum\n1,2\n"),
        ("headless.csv", b"a.mp4,Who?\n"),
        ("film.csv", b"\x00\x00\x00 ftypisom" + bytes(3_000_000)),
        ("film.tsv", bytes(range(256)) * 20),
        ("rows.jsonl", b'{"month": 1}\n{"month": 2}\n'),
        ("film.jsonl", b"\x00\x00\x00 ftypisom\n"),
        ("empty.csv", b""),
    ],
)
def test_a_file_that_is_no_list_is_said_to_be_none(
    tmp_path: Path, name: str, content: bytes
) -> None:
    """A table without paths, or a film that is called like one, is refused before anything runs."""
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ConfigError, match="list"):
        check_sources(InputConfig(sources=(tmp_path / name,)))


def test_two_prompts_for_one_film_are_two_clips(library: Path) -> None:
    """A film with two questions has two clips, and a question that comes twice is one."""
    (library / "all.csv").write_text("path,prompt\na.mp4,Who?\na.mp4,Where?\na.mp4,Who?\na.mp4,\n")

    sources = list(Walk(InputConfig(sources=(library / "all.csv", library))))
    clips = [plan(one, MediaConfig())[0] for one in sources if isinstance(one, Source)]

    asked = [(clip.source.name, clip.source.row.prompt) for clip in clips]
    assert asked == [("a.mp4", "Who?"), ("a.mp4", "Where?"), ("a.mp4", ""), *asked[3:]]
    assert [name for name, _ in asked[3:]] == ["b.mp4", "c.mp4"]
    assert len({clip.clip_id for clip in clips}) == 5


SAME_FILM = """path,id,prompt,title,label
a.mp4,one,,First,x
a.mp4,two,,First,x
a.mp4,one,,Second,x
a.mp4,one,,First,y
a.mp4,,,,y
a.mp4,three,Who?,Third,
a.mp4,three,Who?,Fourth,
a.mp4,four,Who?,Third,
b.mp4,,,Fifth,
b.mp4,five,,Fifth,
"""


@pytest.mark.parametrize(
    ("request_table", "bad"),
    [({}, [3, 9, 11]), ({"prompt": "{metadata.title}?", "prompt_template": True}, [3, 4, 9, 11])],
)
def test_a_row_that_another_one_stands_for_is_told(
    library: Path, request_table: dict[str, Any], bad: list[int]
) -> None:
    """One of another id, or of another title where the prompt has that, is no mere duplicate."""
    (library / "all.csv").write_text(SAME_FILM)
    tables = {"input": {"sources": [library / "all.csv"]}, "request": request_table}
    job = JobConfig.model_validate(tables)
    walk = walk_of(job)

    found = list(walk)
    taken = [(one.name, one.row.id) for one in found if isinstance(one, Source)]
    refused = [one for one in found if isinstance(one, Unusable)]

    assert taken == [("a.mp4", "one"), ("a.mp4", "three"), ("b.mp4", "")]
    assert [one.source.row.number for one in refused] == bad
    assert {one.code for one in refused} == {FailureCode.BAD_ROW}
    assert refused[0].detail.startswith(
        "row 3: it names the same film and window as row 2, with ano"
    )
    assert refused[0].source.row.id == "two"
    assert orjson.loads(refused[0].source.row.metadata) == {"title": "First", "label": "x"}
    assert walk.passed_over["duplicate"] == 7 - len(bad)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("5", "10.5", (5.0, 10.5)),
        ("5", "", (5.0, 25.0)),
        ("", "7", (0.0, 7.0)),
        ("0", "", (0.0, 20.0)),
        ("-0", "7", (0.0, 7.0)),
        ("0.1", "20.1", (0.1, 20.1)),  # 20.1 - 0.1 is more than 20
        ("", "", (0.0, 20.0)),
        ("0", "20.5", None),
        ("90", "111", None),
        ("", "21", None),
    ],
)
def test_a_row_asks_for_a_window(
    library: Path, start: str, end: str, expected: tuple[float, float] | None
) -> None:
    """What a row leaves out is the film's start, or max_seconds; a longer window is a bad row."""
    (library / "all.csv").write_text(f"path,start_s,end_s\na.mp4,{start},{end}\n")

    (one,) = Walk(InputConfig(sources=(library / "all.csv",)), max_seconds=20)

    if expected is None:
        assert isinstance(one, Unusable)
        assert one.code is FailureCode.BAD_ROW
        assert one.detail.startswith("row 2: ")
        assert "max_seconds (20 s)" in one.detail
    else:
        assert isinstance(one, Source)
        (clip,) = plan(one, MediaConfig(max_seconds=20))
        assert (clip.start_s, clip.end_s) == expected
        assert clip.stands_alone == (not start and not end)


def test_each_window_of_a_film_is_one_clip(library: Path) -> None:
    """Rows are one clip for each window and prompt; a folder takes the first window itself."""
    (library / "all.csv").write_text(
        "path,prompt,start_s,end_s\na.mp4,,20,40\na.mp4,,20.0,\na.mp4,Who?,20,40\na.mp4,,,\n"
        "a.mp4,,0,20\nb.mp4,,0,20\nb.mp4,,,\nc.mp4,,20,40\n"
    )

    walk = Walk(InputConfig(sources=(library / "all.csv", library)), max_seconds=20)
    media = MediaConfig(max_seconds=20)
    clips = [plan(one, media)[0] for one in walk if isinstance(one, Source)]

    rows = [(one.source.name, one.source.row.number, one.start_s) for one in clips]
    assert rows == [
        ("a.mp4", 2, 20.0), ("a.mp4", 4, 20.0), ("a.mp4", 5, 0.0), ("b.mp4", 7, 0.0),
        ("c.mp4", 9, 20.0), ("c.mp4", 0, 0.0),
    ]  # fmt: skip
    assert len({one.clip_id for one in clips}) == len(clips)
    assert walk.passed_over["duplicate"] == 5


def test_a_folder_has_no_window(library: Path) -> None:
    """A row with a folder and a window is bad, and none of its files is captioned."""
    (library / "deep").mkdir()
    (library / "all.csv").write_text("path,start_s\ndeep,5\n")

    ((_, _, reason),) = found(library / "all.csv")

    assert reason == "row 2: a folder cannot have start_s or end_s"


def test_comments_of_a_plain_list_are_passed_over(library: Path) -> None:
    """A # at the start of a line makes it a comment; ./# is a name."""
    (library / "#1.mp4").write_bytes(b"film")
    (library / "all.txt").write_text("# the films\n\na.mp4\n./#1.mp4\n")

    assert [name for name, _, _ in found(library / "all.txt")] == ["a.mp4", "./#1.mp4"]
