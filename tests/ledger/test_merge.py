"""Folders of shards as one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captionfleet.errors import ConfigError, OutputError
from captionfleet.ledger.files.lock import FolderLock
from captionfleet.ledger.format.serialising import caption_line, failure_line
from captionfleet.ledger.requests import Requests, save_requests
from captionfleet.merge.merge import Merged, merge
from tests.support.outcomes import make_caption, make_clip, make_failure


def caption(number: int, *, at: int = 0, media: str = "", request: str = "r1") -> bytes:
    """A captions line of the clip of this number."""
    one = make_caption(make_clip(number, f"{number}.mp4"), text=f"{number} at {at}")
    facts = replace(one.facts, video_sha256=media or f"{number:064x}")
    stamp = f"2026-11-25T00:00:{at:02}.000Z"
    return caption_line(replace(one, facts=facts), stamp, request.ljust(16, "0"))


def failure(number: int, *, at: int = 0) -> bytes:
    """A failures line of the clip of this number."""
    return failure_line(make_failure(make_clip(number)), f"2026-11-25T00:00:{at:02}.000Z")


def part(
    folder: Path,
    captions: list[bytes],
    failures: Sequence[bytes] = (),
    **run: Any,
) -> Path:
    """An output folder whose run ended."""
    folder.mkdir()
    (folder / "captions.jsonl").write_bytes(b"".join(captions))
    (folder / "failures.jsonl").write_bytes(b"".join(failures))
    (folder / "run.json").write_bytes(orjson.dumps({"ended": "complete"} | run))
    return folder


def lines(folder: Path, name: str = "captions.jsonl") -> list[bytes]:
    """The lines of a file."""
    return (folder / name).read_bytes().splitlines(keepends=True)


def outcome(merged: Merged) -> tuple[int, int, int, int]:
    """Captions, failures, repeated captions and misfits."""
    return merged.captions, merged.failures, merged.repeated, merged.misfit_count


def test_folders_become_one(tmp_path: Path) -> None:
    """Each clip has its latest caption; a failure stands where no folder has a caption."""
    one = part(tmp_path / "1", [caption(1), caption(2, at=5)], [failure(3), failure(4)])
    two = part(tmp_path / "2", [caption(2, at=4), caption(3)], [failure(4, at=9), failure(1)])

    merged = merge([one, two], tmp_path / "out")

    assert outcome(merged) == (3, 1, 1, 0)
    assert lines(tmp_path / "out") == [caption(1), caption(2, at=5), caption(3)]
    assert lines(tmp_path / "out", "failures.jsonl") == [failure(4, at=9)]


def test_merging_again_takes_what_is_new(tmp_path: Path) -> None:
    """What the folder holds stays; the same line counts once, a later one replaces it."""
    one = part(tmp_path / "1", [caption(1)], [failure(2)])
    merge([one], tmp_path / "out")
    (one / "captions.jsonl").write_bytes(caption(1, at=3) + caption(2))
    (one / "failures.jsonl").write_bytes(b"")

    for _ in range(2):
        merged = merge([one], tmp_path / "out")

    assert outcome(merged)[:2] == (2, 0)
    assert sorted(lines(tmp_path / "out")) == sorted([caption(1, at=3), caption(2)])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 9)), max_size=8), max_size=4))
def test_any_lines_become_one_a_clip(
    tmp_path_factory: pytest.TempPathFactory, folders: list[list[tuple[int, int]]]
) -> None:
    """Whatever the folders hold, the latest line of each clip stands, alone."""
    root = tmp_path_factory.mktemp("merge")
    parts = [
        part(root / f"{position}", [caption(number, at=at) for number, at in held])
        for position, held in enumerate(folders)
    ]
    latest: dict[int, int] = {}
    for number, at in [one for held in folders for one in held]:
        latest[number] = max(at, latest.get(number, 0))

    merged = merge([part(root / "first", []), *parts], root / "out")

    assert merged.captions == len(latest)
    assert sorted(lines(root / "out")) == sorted(caption(n, at=at) for n, at in latest.items())


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    """A line that is none, another film under the same id, a run that did not end, a shard gone."""
    alien = caption(1, media="f" * 64).replace(b"/videos/1.mp4", b"/other/1.mp4")
    sharded = {"settings": {"input": {"shard": "0/3"}}}
    one = part(tmp_path / "1", [caption(1), b"no line\n"], **sharded)
    two = part(tmp_path / "2", [alien], ended="signal")

    merged = merge([one, two], tmp_path / "out")

    words = "\n".join(merged.misfits)
    assert merged.misfit_count == 4
    for named in ("names no clip", "another film has its clip_id", "by signal", "1/3, 2/3"):
        assert named in words
    assert lines(tmp_path / "out") == [caption(1)]


def test_a_shard_whose_last_run_was_killed_is_named_each_time(tmp_path: Path) -> None:
    """run.json is that of an earlier run then; the mark of the killed one stays in its folder."""
    one, two = part(tmp_path / "1", [caption(1)]), part(tmp_path / "2", [caption(2)])
    out = part(tmp_path / "out", [])
    marks = [folder / ".lock-holder.json" for folder in (one, out)]
    for mark in marks:
        mark.write_bytes(b'{"pid":7,"host":"h","since_utc":"2026-11-25T00:00:00.000Z"}')
    left = [mark.read_bytes() for mark in marks]

    for _ in range(2):
        merged = merge([one, two], out)

        assert merged.misfits == [f"{one}: its last run did not end: run it again"]
        assert [mark.read_bytes() for mark in marks] == left
    assert not (two / ".lock-holder.json").exists()


def test_copies_are_counted(tmp_path: Path) -> None:
    """Two clips of the same media are a note."""
    one = part(tmp_path / "1", [caption(1, media="a" * 64), caption(2, media="a" * 64)])

    assert merge([one], tmp_path / "out").copies == 1


def noted(folder: Path, request: str, prompt: str) -> Path:
    """Note the request behind a folder's captions."""
    name = request.ljust(16, "0")
    save_requests(folder, Requests({name: {"prompt": prompt}}, {"": frozenset({name})}))
    return folder


def test_requests_are_not_mixed(tmp_path: Path) -> None:
    """Folders of two prompts are refused with the difference, and nothing is written."""
    one = noted(part(tmp_path / "1", [caption(1)]), "r1", "Who?")
    two = noted(part(tmp_path / "2", [caption(2, request="r2")]), "r2", "Where?")

    with pytest.raises(ConfigError, match=r"Who\?.*Where\?"):
        merge([one, two], tmp_path / "out")

    assert not (tmp_path / "out" / "captions.jsonl").exists()


def test_captions_that_wait_to_be_replaced_are_left_out(tmp_path: Path) -> None:
    """Of a folder whose captions are being replaced, those that count are taken."""
    one = part(tmp_path / "1", [caption(1), caption(2, request="r2")])
    noted(one, "r2", "Where?")

    merged = merge([one], tmp_path / "out")

    assert (merged.captions, merged.misfit_count) == (1, 1)
    assert "is to be replaced" in merged.misfits[0]


def test_folders_that_cannot_be_merged(tmp_path: Path) -> None:
    """What is no output folder is refused, and so is one that a run holds."""
    (tmp_path / "none").mkdir()
    one = part(tmp_path / "1", [caption(1)])
    with pytest.raises(ConfigError, match="is this an output folder"):
        merge([one, tmp_path / "none"], tmp_path / "out")
    lock = FolderLock(one)
    with pytest.raises(OutputError, match="another run"):
        merge([one], tmp_path / "out")
    lock.release()
    (one / "adopted.jsonl").touch()
    with pytest.raises(ConfigError, match="run it again"):
        merge([one], tmp_path / "out")
