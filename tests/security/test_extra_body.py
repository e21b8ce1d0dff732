"""What extra_body holds may be a secret, and is sent, and stands in no file."""

from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from captionfleet import JobConfig, RunSummary, run_job
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import Standin, serving
from tests.support.tiny_films import write_tiny_films

pytestmark = pytest.mark.anyio

SECRET = "hf_0123456789abcdef"  # noqa: S105 - made up
OTHER = StandinOptions(strict=False, watch_media=False)


def job(folder: Path, standin: Standin) -> JobConfig:
    """Two films, and a field that one's own gateway asks for."""
    deployment: dict[str, Any] = {
        "base_url": standin.base_url,
        "model": "omni",
        "extra_body": {"tenant_token": SECRET, "top_k": 40},
    }
    tables = {
        "input": {"sources": [folder / "videos"], "settle_s": 0},
        "output": {"dir": folder / "out"},
        "store": {"dir": folder / "store"},
        "deployments": [deployment],
    }
    return JobConfig.model_validate(tables)


async def run(folder: Path, standin: Standin) -> RunSummary:
    """One run."""
    with anyio.fail_after(120):
        return await run_job(job(folder, standin))


def holding(folder: Path, secret: str) -> list[str]:
    """The files below a folder that hold a secret."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path.name for path in files if secret.encode() in path.read_bytes()]


async def test_extra_body_stands_in_no_output(tmp_path: Path) -> None:
    """Files name the fields of extra_body and hash their values; a second run still knows them."""
    write_tiny_films(tmp_path / "videos", 2)
    async with serving(OTHER) as standin:
        assert (await run(tmp_path, standin)).captioned == 2
        assert (await run(tmp_path, standin)).captioned == 0
    assert holding(tmp_path / "out", SECRET) == []
    settings = orjson.loads((tmp_path / "out" / "run.json").read_bytes())["settings"]
    (deployment,) = settings["deployments"]
    assert list(deployment["extra_body"]) == ["tenant_token", "top_k"]


async def test_folder_of_an_earlier_version_goes_on_without_its_secret(tmp_path: Path) -> None:
    """A requests.json that held values in clear is replaced, and no caption is paid for again."""
    write_tiny_films(tmp_path / "videos", 2)
    requests = tmp_path / "out" / "requests.json"
    async with serving(OTHER) as standin:
        await run(tmp_path, standin)
        record = orjson.loads(requests.read_bytes())
        for facts in record["requests"].values():
            facts["extra_body"] = {"tenant_token": SECRET, "top_k": 40}
        requests.write_bytes(orjson.dumps(record))
        assert (await run(tmp_path, standin)).captioned == 0
    assert holding(tmp_path / "out", SECRET) == []
