"""Objects that were written again: the latest caption of each window counts."""

import os
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from captionfleet.cli import run_command_line
from captionfleet.config import CaptionConfig, ExportConfig
from captionfleet.export.export import export_lines
from captionfleet.messages import NO_ROW, Row, Source
from tests.support.library import line, window_line, write_lines

BUCKET = "s3://bucket/films"


def source(version: int, address: str = f"{BUCKET}/beach.mp4", row: Row = NO_ROW) -> Source:
    """A version of an object."""
    root, _, name = address.rpartition("/")
    return Source(address, name, 1000, version, root, address, row)


def exported(folder: Path, to: str = "jsonl") -> bytes:
    """A table, or the texts in the order of their names."""
    out = folder.parent / f"made.{to}"
    export_lines(folder, ExportConfig.model_validate({"to": to, "out": out}), CaptionConfig())
    files = sorted(out.iterdir()) if out.is_dir() else [out]
    return b"".join(path.read_bytes() for path in files)


def captions(folder: Path) -> list[str]:
    """The captions of a table."""
    return [orjson.loads(one)["caption"] for one in exported(folder).splitlines()]


@pytest.mark.parametrize("address", [f"{BUCKET}/beach.mp4", "https://host/films/beach.mp4?v=1"])
def test_an_object_that_was_written_again(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The former caption is in no export, and prune takes it out."""
    lines = [line(source(version, address), f"Version {version}.") for version in (1, 2)]
    folder = write_lines(tmp_path / "out", lines)
    assert captions(folder) == ["Version 2."]
    for to in ("txt", "srt"):
        assert b"Version 1" not in exported(folder, to)
        assert exported(folder, to).count(b"Version 2") == 1
    assert run_command_line(["prune", os.fspath(folder), "--yes"]) == 0
    assert (folder / "captions.jsonl").read_bytes() == lines[1]
    assert (folder / "pruned.jsonl").read_bytes() == lines[0]
    assert "1 lines taken out" in capsys.readouterr().out


def test_a_library_of_addresses_stays_whole(tmp_path: Path) -> None:
    """Lines of other requests, windows, prompts and objects replace nothing."""
    one, web = source(1), "https://host/get"
    lines = [
        line(one, "1"),
        line(one, "2", request="tags"),
        window_line(one, 60.0, 120.0, "3"),
        window_line(one, 0.0, 30.0, "4"),
        line(replace(one, row=Row(1, prompt="Who?")), "5"),
        line(source(1, f"{BUCKET}/beach.mov"), "6"),
        line(source(1, web, Row(1, id="a")), "7"),  # two shares, whose tokens the address lacks
        line(source(2, web, Row(2, id="b")), "8"),
    ]
    folder = write_lines(tmp_path / "out", lines)
    assert captions(folder) == [*"12345678"]
    write_lines(folder, [*lines, line(source(2), "again", request="tags")])
    assert captions(folder) == [*"1345678", "again"]
