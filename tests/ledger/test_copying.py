"""Whose copy it is, which files it has, and where a file that grows is cut."""

from pathlib import Path
from typing import BinaryIO

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.ledger.copying.deciding import (
    Copied,
    Decision,
    Known,
    copied_from,
    decide,
    known_from,
)
from captionfleet.ledger.copying.files import (
    Marks,
    chunks_of,
    is_copied,
    load_marks,
    opened,
    save_marks,
    stamps_of,
)

FOLDER, OTHER, RUN, LATER = (letter * 32 for letter in "abcd")
LINES = {"captions.jsonl": 100}


@pytest.mark.parametrize(
    ("folder", "known", "remote", "has_lines", "expected"),
    [
        ("", Known(), None, True, Decision.BEGIN),
        (FOLDER, Known((RUN,)), None, True, Decision.BEGIN),
        (FOLDER, Known((RUN,)), Copied(FOLDER, RUN, LINES), True, Decision.GO_ON),
        (FOLDER, Known((RUN,)), Copied(FOLDER, RUN), False, Decision.GO_ON),
        ("", Known(), Copied(FOLDER, RUN, LINES), False, Decision.RESTORE),
        ("", Known(), Copied(FOLDER, RUN), False, Decision.RESTORE),
        (OTHER, Known(), Copied(FOLDER, RUN, LINES), False, Decision.RESTORE),
        (FOLDER, Known((RUN,)), Copied(FOLDER, RUN, LINES), False, Decision.RESTORE),
        ("", Known(), Copied(FOLDER, RUN, LINES), True, Decision.FOREIGN),
        (OTHER, Known((RUN,)), Copied(FOLDER, RUN, LINES), True, Decision.FOREIGN),
        (FOLDER, Known((RUN,)), Copied(FOLDER, LATER, LINES), True, Decision.AHEAD),
        (
            FOLDER,
            Known((RUN,), is_restoring=True),
            Copied(FOLDER, LATER, LINES),
            True,
            Decision.RESTORE,
        ),
    ],
)
def test_decisions(
    folder: str, known: Known, remote: Copied | None, *, has_lines: bool, expected: Decision
) -> None:
    assert decide(folder, known, remote, has_lines=has_lines) is expected


def test_captions_that_no_run_copied_are_left_alone() -> None:
    found = decide("", Known(), None, has_lines=True, is_occupied=True)
    assert found is Decision.OCCUPIED
    assert found.advice


ids = st.sampled_from((FOLDER, OTHER, ""))
runs = st.sampled_from((RUN, LATER))


@given(
    folder=ids,
    known=st.builds(Known, st.lists(runs, max_size=2).map(tuple)),
    remote=st.builds(Copied, ids.filter(bool), runs, st.sampled_from(({}, LINES))),
    has_lines=st.booleans(),
)
def test_no_lines_are_ever_replaced_by_others(
    folder: str, known: Known, remote: Copied, *, has_lines: bool
) -> None:
    """Not those of the folder by the copy's, nor those of the copy by another folder's."""
    decision = decide(folder, known, remote, has_lines=has_lines)
    if decision is Decision.RESTORE:
        assert not has_lines
    if decision is Decision.GO_ON:
        assert folder == remote.folder
        assert remote.writer in known.writers
        assert has_lines or not remote.has_lines


anything = st.sampled_from(
    (
        *(None, True, -1, 1, 2**70, 1.5, "", FOLDER, "x" * 33, [], [RUN], [1], {}, LINES),
        *({"../x": 1}, {"run.json": "1"}, {"run.json": -1}, {"run.json": [1, 2]}, {"x": [True, 1]}),
    )
)
keys = st.sampled_from(
    ("format", "folder", "writer", "files", "copied_at_utc", "writers", "stamps", "restoring")
)


@given(record=st.dictionaries(keys, anything | st.just(1)))
def test_records_of_others_are_believed_in_nothing(record: dict[str, object]) -> None:
    known_from(record)
    copied = copied_from(record, is_copied)
    assert copied is None or all(map(is_copied, copied.files))


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    copied = Copied(FOLDER, RUN, LINES, "2026-11-26T02:00:00.000Z")
    assert copied_from(copied.as_dict(), is_copied) == copied
    known = Known((RUN, LATER), {"captions.jsonl": (100, 10**18 + 1)}, is_restoring=True)
    marks = Marks(FOLDER, {"s3://bucket/night": known})
    save_marks(tmp_path, marks)
    assert load_marks(tmp_path) == marks
    (tmp_path / ".copy.json").write_bytes(b"\xff{")
    assert load_marks(tmp_path) == Marks()


@pytest.mark.parametrize(
    "name",
    [
        *("../captions.jsonl", "/etc/passwd", "runs/../x.json", "runs/.json", "runs/a/b.json", ""),
        *(".env", ".lock", ".copy.json", "runs", ".left-on/", "runs/a.json\n", "captions.jsonl.gz"),
    ],
)
def test_nothing_else_of_a_folder_is_copied_or_restored(name: str) -> None:
    assert not is_copied(name)


def test_links_of_others_are_not_copied(tmp_path: Path) -> None:
    """A folder that came as an archive may hold links to what is no caption."""
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").symlink_to("/etc/passwd")
    (out / "captions.jsonl").symlink_to("/etc/hostname")
    (out / "runs").symlink_to(tmp_path)
    (out / "requests.json").write_text("{}")
    assert list(stamps_of(out)) == ["requests.json"]


def test_what_is_read_of_lines_that_grow_is_whole(tmp_path: Path) -> None:
    """A torn end is left out, lines that come meanwhile are for the next time."""
    path = tmp_path / "captions.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b": 2}\n{"torn')
    file, end, stamp = opened(path)
    with path.open("ab") as more:
        more.write(b'": 3}\n')
    assert read(file, end) == b'{"a": 1}\n{"b": 2}\n'
    assert stamp != stamps_of(tmp_path)["captions.jsonl"]


def test_what_is_read_of_a_file_that_is_replaced_is_one_of_both(tmp_path: Path) -> None:
    path, draft = tmp_path / "captions.jsonl", tmp_path / "draft"
    path.write_bytes(b"old\n" * 1000)
    file, end, _ = opened(path)
    draft.write_bytes(b"new\n")
    draft.replace(path)
    assert read(file, end) == b"old\n" * 1000


def read(file: BinaryIO, end: int) -> bytes:
    """The chunks of a file, which is closed."""

    async def whole() -> bytes:
        return b"".join([chunk async for chunk in chunks_of(file, end)])

    with file:
        return anyio.run(whole)
