"""Several requests a clip: exports, prune and merge keep them apart."""

import os
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from captionfleet.ledger.format.lines import failure_line

from captionfleet.cli import run_command_line
from captionfleet.errors import FailureCode
from captionfleet.merge.merge import merge
from captionfleet.messages import Source
from tests.support.library import AT, film, line, write_lines
from tests.support.outcomes import make_clip, make_failure

NAMES = ("short", "tags")


def lines_of(films: list[Source], *names: str) -> list[bytes]:
    """A line of each film and request, which names both."""
    return [line(one, f"{name} of {one.name}", request=name) for one in films for name in names]


def lines_in(path: Path) -> list[bytes]:
    """The lines of a file."""
    return path.read_bytes().splitlines()


def export(folder: Path, *flags: str) -> None:
    """Export, which has to succeed."""
    assert run_command_line(["export", os.fspath(folder), *flags]) == 0


def test_exports_of_one_request(tmp_path: Path) -> None:
    """`--where request=NAME` takes its lines alone; without it each has a name of its own."""
    films = [film(tmp_path / "videos", f"{number}.mp4") for number in range(3)]
    folder = write_lines(tmp_path / "out", lines_of(films, *NAMES))
    export(folder, "--to", "jsonl", "--where", "request=tags")
    rows = [orjson.loads(row) for row in lines_in(folder / "export/captions.jsonl")]
    assert [row["caption"] for row in rows] == [f"tags of {one.name}" for one in films]
    export(folder, "--to", "txt", "--to", "srt")
    texts = {path.name: path.read_text() for path in (tmp_path / "videos").glob("*.txt")}
    assert texts == {
        f"{number}.{name}.txt": f"{name} of {number}.mp4\n" for number in range(3) for name in NAMES
    }
    cues = {path.name for path in (tmp_path / "videos").glob("*.srt")}
    assert cues == {f"{number}.{name}.srt" for number in range(3) for name in NAMES}


def test_prune_takes_every_request_of_a_film_that_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All lines of the film go, and no line of another."""
    films = [film(tmp_path / "videos", f"{number}.mp4") for number in range(2)]
    lines = lines_of(films, *NAMES)
    folder = write_lines(tmp_path / "out", lines)
    Path(films[0].path).unlink()
    assert run_command_line(["prune", os.fspath(folder), "--yes"]) == 0
    assert (folder / "captions.jsonl").read_bytes() == b"".join(lines[2:])
    assert (folder / "pruned.jsonl").read_bytes() == b"".join(lines[:2])
    shown = capsys.readouterr().out
    assert [f"0.mp4 [{name}]" in shown for name in NAMES] == [True, True]


def test_merged_folders_keep_each_request(tmp_path: Path) -> None:
    """The latest of each clip and request stands; a failure goes by its request alone."""
    films = [film(tmp_path / "videos", f"{number}.mp4") for number in range(2)]
    older, newer = "2026-11-25T00:00:01.000Z", "2026-11-25T00:00:02.000Z"
    tags = [line(one, "old", request="tags", completed_at_utc=older) for one in films]
    latest = line(films[0], "new", request="tags", completed_at_utc=newer)
    short = line(films[0], "short", request="short", completed_at_utc=older)
    clip_id = orjson.loads(short)["clip_id"]
    parts = [
        write_lines(tmp_path / "1", [*tags, short]), write_lines(tmp_path / "2", [latest]),
    ]  # fmt: skip
    for part in parts:
        (part / "run.json").write_text('{"ended": "complete"}')
    clip = replace(make_clip(), clip_id=clip_id)
    failures = [
        failure_line(replace(make_failure(clip, FailureCode.TIMEOUT), request=name), AT)
        for name in ("short", "long")
    ]
    (parts[1] / "failures.jsonl").write_bytes(b"".join(failures))
    merged = merge(parts, tmp_path / "all")
    assert (merged.captions, merged.failures, merged.repeated, merged.misfit_count) == (3, 1, 1, 0)
    kept = [orjson.loads(one) for one in lines_in(tmp_path / "all/captions.jsonl")]
    assert {(one["source"], one["request"], one["caption"]) for one in kept} == {
        ("0.mp4", "tags", "new"), ("1.mp4", "tags", "old"), ("0.mp4", "short", "short"),
    }  # fmt: skip
    (failed,) = (tmp_path / "all/failures.jsonl").read_bytes().splitlines()
    assert orjson.loads(failed)["request"] == "long"
