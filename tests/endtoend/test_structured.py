"""Captions as JSON, from the job file to captions.jsonl."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from captionfleet.standin.faults import parse_fault
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import write_job
from tests.support.output import Output

Films = Callable[[int], Path]

pytestmark = pytest.mark.anyio

SCHEMA = {
    "type": "object",
    "properties": {
        "caption": {"type": "string"},
        "mood": {"enum": ["calm", "lively"]},
        "scenes": {"type": "array", "items": {"$ref": "#/$defs/Scene"}},
    },
    "required": ["caption", "mood", "scenes"],
    "$defs": {"Scene": {"type": "object", "properties": {"at_s": {"type": "number"}}}},
}


@pytest.mark.parametrize("misfit", ["misfit", "not-json"])
async def test_captions_are_kept_as_data(
    misfit: str, own_films: Films, command: Command, output: Output
) -> None:
    """Every line holds the caption as text and parsed; a misfit costs one more attempt."""
    videos = own_films(2)
    (command.folder / "scene.json").write_bytes(orjson.dumps(SCHEMA))
    tables = {
        "input": {"sources": [str(videos)]},
        "request": {"response_schema": "scene.json", "max_tokens": 300},
        "output": {"dir": "out"},
    }
    faults = (parse_fault(f"{misfit}+first=1"),)
    async with serving(StandinOptions(faults=faults)) as standin:
        job = write_job(command.folder / "job.toml", standin, tables=tables)
        ended = await command("run", "--job", job, "--quiet")
        other = await command("run", "--job", job, "--prompt", "Who?", "--quiet")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert output.settled_run()["retries"] == 1
    for line in output.captions:
        data = orjson.loads(line["data"])
        assert data == orjson.loads(line["caption"])
        assert data.keys() == SCHEMA["properties"].keys()  # type: ignore[attr-defined]
        assert line["media"]["video_sha256"] in data["caption"]
    assert other.exit_code == 2


async def test_a_schema_that_fireworks_refuses_is_exit_code_2(command: Command) -> None:
    """The key that is refused is named before anything is prepared or sent."""
    schema = {"properties": {"tags": {"type": "array", "maxItems": 3}}}
    (command.folder / "scene.json").write_bytes(orjson.dumps(schema))
    job = write_job(
        command.folder / "job.toml",
        "https://api.fireworks.ai/inference/v1",
        tables={"input": {"sources": ["."]}, "request": {"response_schema": "scene.json"}},
    )
    ended = await command("run", "--job", job)
    assert ended.exit_code == 2
    assert "request.response_schema: properties.tags.maxItems: Fireworks" in ended.complaint
