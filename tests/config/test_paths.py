"""Where relative paths of a job file start."""

from pathlib import Path

import pytest

from captionfleet.config import load_job

JOB = """
[input]
sources = ["videos", "-", "s3://bucket/films"]
[output]
dir = "captions"
recaption = true
recaption_list = "again.txt"
[store]
dir = "media"
"""


def test_written_paths_start_at_the_files_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every path that the file names, wherever the command runs; addresses have no folder."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "job.toml").write_text(JOB)
    monkeypatch.chdir(tmp_path)
    job, folder = load_job(Path("jobs/job.toml"), {}), tmp_path / "jobs"
    assert job.input.sources == (folder / "videos", Path("-"), Path("s3://bucket/films"))
    assert (job.output.dir, job.store.dir) == (folder / "captions", folder / "media")
    assert job.output.recaption_list == folder / "again.txt"


def test_paths_of_flags_start_at_the_working_directory(tmp_path: Path) -> None:
    """A shell completes them from there."""
    (tmp_path / "job.toml").write_text(JOB)
    flags = {"output": {"dir": Path("out"), "recaption_list": Path("other.txt")}}
    job = load_job(tmp_path / "job.toml", flags)
    assert (job.output.dir, job.output.recaption_list) == (Path("out"), Path("other.txt"))
