"""Whose copy it is, which files it has, and where a file that grows is cut."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.errors import OutputError
from captionfleet.ledger.copying.deciding import (
    Copied,
    Decision,
    Known,
    Lines,
    can_begin_alone,
    copied_from,
    decide,
    known_from,
)
from captionfleet.ledger.copying.files import (
    Marks,
    chunks_of,
    is_copied,
    lines_in,
    load_marks,
    opened,
    save_marks,
)
from captionfleet.ledger.copying.finding import find, find_gone, stamp_of

FOLDER, OTHER, RUN, LATER = (letter * 32 for letter in "abcd")
LINES, FAILED = {"captions.jsonl": 100}, {"captions.jsonl": 0, "failures.jsonl": 9}
HALF = Known((RUN,), is_restoring=True)


ALL = Lines(100, has_failures=True)
ONLY_FAILURES = Lines(0, has_failures=True)
NONE = Lines(0, has_failures=False)
MADE_SINCE = Lines(90, has_failures=False)


@pytest.mark.parametrize(
    ("folder", "known", "remote", "lines", "expected"),
    [
        ("", Known(), None, ALL, Decision.BEGIN),
        (FOLDER, Known((RUN,)), None, ALL, Decision.BEGIN),
        (FOLDER, Known((RUN,)), Copied(FOLDER, RUN, LINES), ALL, Decision.GO_ON),
        (FOLDER, Known((RUN,)), Copied(FOLDER, RUN), NONE, Decision.GO_ON),
        (FOLDER, Known((RUN,)), Copied(FOLDER, RUN, FAILED), ONLY_FAILURES, Decision.GO_ON),
        ("", Known(), Copied(FOLDER, RUN, LINES), NONE, Decision.RESTORE),
        ("", Known(), Copied(FOLDER, RUN), NONE, Decision.RESTORE),
        (OTHER, Known(), Copied(FOLDER, RUN, LINES), NONE, Decision.RESTORE),
        (FOLDER, Known((RUN,)), Copied(FOLDER, RUN, LINES), NONE, Decision.RESTORE),
        (
            FOLDER,
            Known((RUN,)),
            Copied(FOLDER, RUN, LINES),
            ONLY_FAILURES,
            Decision.RESTORE_CAPTIONS,
        ),
        ("", Known(), Copied(FOLDER, RUN, LINES), ALL, Decision.FOREIGN),
        (OTHER, Known((RUN,)), Copied(FOLDER, RUN, LINES), ALL, Decision.FOREIGN),
        (OTHER, Known((RUN,)), Copied(FOLDER, RUN, LINES), ONLY_FAILURES, Decision.FOREIGN),
        (FOLDER, Known((RUN,)), Copied(FOLDER, LATER, LINES), ALL, Decision.AHEAD),
        (FOLDER, Known((RUN,)), Copied(FOLDER, LATER, LINES), ONLY_FAILURES, Decision.AHEAD),
        (FOLDER, HALF, Copied(FOLDER, LATER, LINES), ONLY_FAILURES, Decision.RESTORE),
        (FOLDER, HALF, Copied(FOLDER, LATER, LINES), ALL, Decision.RESTORE),
        (FOLDER, HALF, Copied(FOLDER, LATER, LINES), MADE_SINCE, Decision.HALF),
    ],
)
def test_decisions(
    folder: str, known: Known, remote: Copied | None, lines: Lines, expected: Decision
) -> None:
    assert decide(folder, known, remote, lines) is expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [(NONE, Decision.RESTORE), (ONLY_FAILURES, Decision.RESTORE_CAPTIONS), (ALL, Decision.GO_ON)],
)
def test_captions_of_a_copy_count_although_its_record_lacks_them(
    lines: Lines, expected: Decision
) -> None:
    """A run was killed after it uploaded them."""
    remote = Copied(FOLDER, RUN, {"captions.jsonl": 0})
    assert decide(FOLDER, Known((RUN,)), remote, lines, is_occupied=True) is expected


@pytest.mark.parametrize(
    ("known", "lines", "expected"),
    [
        (Known((RUN,), {"captions.jsonl": (100, 1)}), ALL, True),
        (Known((RUN,), {"captions.jsonl": (0, 1)}), ONLY_FAILURES, True),
        (Known((RUN,), {"captions.jsonl": (100, 1)}), ONLY_FAILURES, False),
        (Known((RUN,)), NONE, False),
        (Known(), ALL, False),
        (Known((RUN,), is_restoring=True), ALL, False),
    ],
)
def test_a_bucket_that_cannot_be_reached_is_awaited_only_for_lines(
    known: Known, lines: Lines, *, expected: bool
) -> None:
    assert can_begin_alone(known, lines) is expected


def test_captions_that_no_run_copied_are_left_alone() -> None:
    found = decide("", Known(), None, ALL, is_occupied=True)
    assert found is Decision.OCCUPIED
    assert found.advice


ids = st.sampled_from((FOLDER, OTHER, ""))
runs = st.sampled_from((RUN, LATER))


@given(
    folder=ids,
    known=st.builds(Known, st.lists(runs, max_size=2).map(tuple), is_restoring=st.booleans()),
    remote=st.builds(Copied, ids.filter(bool), runs, st.sampled_from(({}, LINES, FAILED))),
    lines=st.builds(Lines, st.sampled_from((0, 90)), st.booleans()),
    is_occupied=st.booleans(),
)
def test_no_lines_are_ever_replaced_by_others(
    folder: str, known: Known, remote: Copied, lines: Lines, *, is_occupied: bool
) -> None:
    """Not those of the folder by the copy's, nor those of the copy by another folder's."""
    decision = decide(folder, known, remote, lines, is_occupied=is_occupied)
    if decision in {Decision.RESTORE, Decision.RESTORE_CAPTIONS}:
        assert not lines.captions_bytes
    if decision is Decision.RESTORE:
        assert known.is_restoring or not lines.has_failures
    if decision is Decision.GO_ON:
        assert folder == remote.folder
        assert remote.writer in known.writers
        assert lines.captions_bytes or not (is_occupied or remote.files.get("captions.jsonl"))
        assert lines.captions_bytes or lines.has_failures or not remote.has_lines


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
    save_marks(out, Marks(FOLDER))
    found = find(out, FOLDER)
    assert list(found.stamps) == ["requests.json"]
    assert set(found.unread) == {"captions.jsonl", "run.json", "runs"}
    assert not find_gone(out, FOLDER, ["captions.jsonl", "run.json", "runs/a.json"])


def test_only_what_was_removed_from_the_folder_is_gone(tmp_path: Path) -> None:
    """Neither what cannot be read now nor a link to a disk that is away."""
    out = folder_of(tmp_path / "out", "captions.jsonl", "failures.jsonl", "runs/a.json")
    (out / "report.html").symlink_to(tmp_path / "away" / "report.html")
    (out / "same.jsonl").symlink_to("same.jsonl")
    names = [
        "same.jsonl",
        "captions.jsonl",
        "report.html",
        "run.json",
        "runs/a.json",
        "runs/b.json",
    ]
    found = find(out, FOLDER)
    assert list(found.stamps) == ["runs/a.json"], "lines wait for those that they refer to"
    assert set(found.unread) == {"same.jsonl", "report.html"}
    assert find_gone(out, FOLDER, names) == ["run.json", "runs/b.json"]


@pytest.mark.parametrize("other", ["none", "empty", "a run's", "another folder's", "no captions"])
def test_a_folder_that_is_not_the_copys_has_removed_nothing(tmp_path: Path, other: str) -> None:
    out = tmp_path / "out"
    if other != "none":
        names = {
            "a run's": ("captions.jsonl", "runs/b.json"),
            "another folder's": ("captions.jsonl",),
        }
        folder_of(out, *names.get(other, ()))
    if other == "another folder's":
        save_marks(out, Marks(OTHER))
    elif other not in {"no captions", "none"}:
        (out / ".copy.json").unlink()
    with pytest.raises(OutputError, match="its copy stays as it is"):
        find(out, FOLDER)
    with pytest.raises(OutputError, match="its copy stays as it is"):
        find_gone(out, FOLDER, ["report.html"])


@pytest.mark.parametrize(
    ("name", "read"),
    [("captions.jsonl", lines_in), ("failures.jsonl", lines_in), (".copy.json", load_marks)],
)
def test_what_cannot_be_read_does_not_count_as_missing(
    tmp_path: Path, name: str, read: Callable[[Path], object]
) -> None:
    """Or the copy would be restored over it."""
    (tmp_path / name).symlink_to(name)
    with pytest.raises(OutputError, match=f"cannot read .*{name}"):
        read(tmp_path)


def folder_of(out: Path, *names: str) -> Path:
    """An output folder of the id FOLDER with these files."""
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("{}\n")
    out.mkdir(exist_ok=True)
    save_marks(out, Marks(FOLDER))
    return out


def test_what_is_read_of_lines_that_grow_is_whole(tmp_path: Path) -> None:
    """A torn end is left out, lines that come meanwhile are for the next time."""
    path = tmp_path / "captions.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b": 2}\n{"torn')
    file, end, stamp = opened(path)
    with path.open("ab") as more:
        more.write(b'": 3}\n')
    assert read(file, end) == b'{"a": 1}\n{"b": 2}\n'
    assert stamp != stamp_of(path)


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
