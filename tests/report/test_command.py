"""The report command, the report that a run leaves, and what a run records for it."""

from pathlib import Path

import orjson
import pytest

from captionfleet.cli import run_command_line
from captionfleet.report import command
from tests.report.conftest import FILMS, Finished
from tests.support.run_folder import caption_record, write_run_folder


def test_a_line_tells_what_the_time_went_into(finished: Finished) -> None:
    """Decoding and encoding are parts of preparing, uploading is a part of the request."""
    for line in finished.output.captions:
        latency = line["latency"]
        assert 0 < latency["decode_s"] + latency["encode_s"] <= latency["prepare_s"]
        assert 0 < latency["upload_s"] <= latency["ttft_s"] <= latency["request_s"]
        assert (finished.store / line["media_key"][:2] / f"{line['media_key']}.mp4").exists()


def test_a_run_leaves_its_timeline(finished: Finished) -> None:
    """timeline.json belongs to run.json, and its captions and errors are those of the run."""
    told = orjson.loads((finished.output.folder / "timeline.json").read_bytes())
    run = finished.output.run

    series = told["deployments"]["omni-a"]
    assert told["started_at_utc"] == run["started_at_utc"]
    assert sum(series["captions"]) == FILMS
    errors = sum(run["fleet"][0]["errors"].values())
    assert sum(series["refusals"]) + sum(series["errors"]) == errors
    assert max(value or 0 for value in series["in_flight"]) >= 0


def test_the_command_says_what_it_wrote(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names the page and what it shows; the exit code is 0."""
    page = tmp_path / "page.html"
    folder = str(finished.output.folder)

    arguments = ["report", folder, "--out", str(page), "--media", str(finished.store)]
    exit_code = run_command_line(arguments)

    said = capsys.readouterr()
    assert (exit_code, said.err) == (0, "")
    assert said.out.startswith(f"{page} (")
    assert said.out.endswith(f", {FILMS + 1} of {FILMS + 1} clips, {FILMS} with pictures)\n")
    assert page.read_bytes().startswith(b"<!doctype html>")


@pytest.mark.parametrize("arguments", ["missing", "{tmp}", "{tmp} --sample -1"])
def test_mistakes_are_told_in_one_line(
    arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that holds no output, or a number that makes no sense, ends with exit code 2."""
    words = arguments.format(tmp=tmp_path).split()

    assert run_command_line(["report", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("captionfleet: ")


@pytest.mark.anyio
async def test_no_report_is_no_failure(tmp_path: Path) -> None:
    """Where the page cannot be written the run's summary says how to make it later."""
    write_run_folder(tmp_path, [caption_record()])
    (tmp_path / "report.html").mkdir()

    told = await command.report_of_run(tmp_path)

    assert told == f"failed: captionfleet report {tmp_path}"


@pytest.mark.anyio
async def test_a_large_folder_is_left_to_the_command(tmp_path: Path) -> None:
    """A run does not wait minutes for its report."""
    write_run_folder(tmp_path, [caption_record()])

    line = await command.report_of_run(tmp_path, quick_bytes=100)

    assert line == f"large: captionfleet report {tmp_path}"
    assert not (tmp_path / "report.html").exists()
