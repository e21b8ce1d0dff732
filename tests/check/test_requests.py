"""What a check and a bench make of jobs with several requests, and of prompts that name columns."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from captionfleet.bench.in_turn import in_turn
from captionfleet.check.asking import ask_deployment
from captionfleet.check.check import Options, check_job
from captionfleet.check.drawing import DrawnClip
from captionfleet.config import JobConfig
from captionfleet.errors import ConfigError
from captionfleet.messages import Row
from tests.support.ready import ready_clip
from tests.support.replica import ScriptedReplica, caption, prompt_of, scripted
from tests.support.tiny_films import lay_to_rest, write_tiny_films

pytestmark = pytest.mark.anyio

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TITLED = {"name": "titled", "prompt": "What is {metadata.title}?", "prompt_template": True}
TAGS = {"name": "tags", "prompt": "Ten words.", "max_tokens": 50}
OMNI = "Qwen/Qwen3-Omni-30B-A3B-Instruct"


def job_of(*asked: dict[str, Any], base_url: str = "http://127.0.0.1:9/v1", **tables: Any) -> Any:
    """A job that asks these of each clip."""
    one = {"base_url": base_url, "model": OMNI, "api_key_env": ""}
    return JobConfig.model_validate({"deployments": [one], "request": asked, **tables})


@pytest.fixture
def titles(tmp_path: Path) -> Path:
    """A list of three films, one of them without a title."""
    films = write_tiny_films(tmp_path / "films", 3)
    rows = [f'{{"path": "{film}", "title": "No. {n}"}}' for n, film in enumerate(films)]
    (tmp_path / "titles.jsonl").write_text("\n".join([f'{{"path": "{films[0]}"}}', *rows[1:]]))
    lay_to_rest(tmp_path)
    return tmp_path / "titles.jsonl"


async def test_requests_are_estimated_and_rows_without_the_column_told(
    titles: Path, tmp_path: Path
) -> None:
    """Two requests of three clips are five captions, where a row lacks what one of them names."""
    output = {"dir": tmp_path / "out"}
    job = job_of(TITLED, TAGS, input={"sources": [titles]}, output=output)
    with anyio.fail_after(60):
        report = await check_job(job, Options(canary=False))
    found = {finding.check: finding for finding in report.findings}
    assert "all 3 clips for 5 captions" in found["estimate"].text
    assert report.estimate is not None
    assert report.estimate["d1"]["completion_tokens"] == 2 * 200 + 3 * 50
    assert found["prompt"].text == "there is no metadata.title, which the prompt names (rows: 1)"
    nowhere = job_of(TITLED, TAGS, input={"sources": [titles.parent / "films"]}, output=output)
    with anyio.fail_after(60):
        report = await check_job(nowhere, Options(canary=False))
    (wrong,) = [one for one in report.findings if one.check == "sources"]
    assert wrong.text.startswith("request.prompt of titled: metadata.title: metadata and row come")
    assert report.exit_code == 2


async def test_a_prompt_is_tried_as_a_run_sends_it(titles: Path, clips: list[DrawnClip]) -> None:
    """With the first row that has what it names; without such a row, the check says so."""
    titled = TITLED | {"response_schema": SCHEMA}
    async with scripted() as replica:
        replica.default = caption('{"a": "b"}')
        job = job_of(titled, TAGS, base_url=replica.base_url, input={"sources": [titles]})
        with anyio.fail_after(60):
            report = await check_job(job, Options())
        assert "What is No. 1?" in _prompts(replica)
        replica.seen.clear()
        with anyio.fail_after(60):
            asked = await ask_deployment(job, job.deployments[0], clips)
        assert not [prompt for prompt in _prompts(replica) if "What is" in prompt]
    found = {finding.check: finding for finding in report.findings}
    assert found["structure"].text == "an answer fits response_schema of request titled"
    (untold,) = [one for one in asked.findings if one.check == "structure"]
    assert "there is no metadata.title" in untold.text


def _prompts(replica: ScriptedReplica) -> list[str]:
    return [prompt_of(seen.json) for seen in replica.seen if seen.body]


def test_a_bench_asks_each_clip_all_requests(tmp_path: Path) -> None:
    """Each with the prompt of its row; what a row cannot be asked is left out."""
    clips = [ready_clip(tmp_path, f"c{number}") for number in range(2)]
    row = Row(1, metadata='{"title": "One"}')
    source = replace(clips[0].clip.source, row=row)
    clips[0] = replace(clips[0], clip=replace(clips[0].clip, source=source))
    job = job_of(TITLED, TAGS, input={"sources": [tmp_path / "list.csv"]})
    asked = [(one.clip.clip_id, one.request, one.prompt) for one in in_turn(clips, job)]
    assert asked == [("c0", "titled", "What is One?"), ("c0", "tags", ""), ("c1", "tags", "")]
    with pytest.raises(ConfigError, match="no source is a list"):
        in_turn(clips, job_of(TITLED))
