"""Sources in a job file: paths from its folder, addresses as they are."""

import os
from pathlib import Path

from captionfleet.config import load_job


def test_paths_are_of_the_folder_of_the_job_file_and_addresses_of_none(tmp_path: Path) -> None:
    file = tmp_path / "job.toml"
    file.write_text(
        '[input]\nsources = ["videos", "s3://bucket/videos", "https://host/a.mp4", "-"]'
    )

    sources = [os.fspath(one) for one in load_job(file, {}).input.sources]

    assert sources == [str(tmp_path / "videos"), "s3:/bucket/videos", "https:/host/a.mp4", "-"]
