"""Lists with columns: what their rows say reaches the server and the lines."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import orjson
import pytest

from captionfleet.config import JobConfig
from captionfleet.ledger.files.index import State
from captionfleet.producer.current import find_lines
from captionfleet.run import run_job
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import asking
from tests.support.nights import Nights
from tests.support.replica import caption, scripted
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

ROWS = """path,id,prompt,camera
clip-00.mp4,one,Who is there?,front
clip-01.mp4,two,,back
clip-00.mp4,three,"Where is
it?",front
gone.mp4,four,,
,five,,
"""


@pytest.fixture
def nights(library: Library, tmp_path: Path) -> Nights:
    return Nights(tmp_path, library.store)


def prompts(seen: list[bytes]) -> list[str]:
    """What was asked, in order."""
    bodies = [orjson.loads(body) for body in seen if body]
    return sorted(body["messages"][0]["content"][-1]["text"] for body in bodies)


async def test_rows_are_asked_by_their_own_prompts(
    own_films: Callable[[int], Path], nights: Nights
) -> None:
    """Each row's prompt is sent and its columns come back; a changed prompt is one more request."""
    listing = own_films(2) / "all.csv"
    listing.write_text(ROWS)
    async with scripted(caption()) as replica:
        deployment = {"base_url": replica.base_url, "model": "omni", "api_key_env": ""}
        job = JobConfig.model_validate(
            nights.job().model_dump(exclude_unset=True)
            | {"input": {"sources": [listing]}, "deployments": [deployment]}
        )
        with anyio.fail_after(120):
            assert (await run_job(job)).captioned == 3
            default = job.request.prompt
            sent = [one.body for one in replica.seen]
            assert prompts(sent) == [default, "Where is\nit?", "Who is there?"]
            assert (await run_job(job)).planned == 2  # the bad ones, again
            listing.write_text(ROWS.replace("Who is", "What is"))
            assert (await run_job(job)).captioned == 1
            assert prompts([one.body for one in replica.seen][len(sent) :]) == ["What is there?"]
    lines = {line["id"]: line for line in nights.output.captions if "What" not in line["prompt"]}
    assert {key: orjson.loads(line["metadata"]) for key, line in lines.items()} == {
        "one": {"camera": "front"},
        "two": {"camera": "back"},
        "three": {"camera": "front"},
    }
    assert len({line["fingerprint"] for line in lines.values()}) == 3
    failures = {line["code"]: line for line in nights.output.failures}
    assert failures["source_missing"]["id"] == "four"
    assert failures["bad_row"]["detail"] == "row 6: the path is empty"
    assert failures["bad_row"]["path"] == str(listing)


async def test_a_list_on_standard_input(
    own_films: Callable[[int], Path], nights: Nights, command: Command, tmp_path: Path
) -> None:
    """`-` reads a list from standard input, relative to the working directory."""
    there, given = replace(command, folder=own_films(2)), tmp_path / "given"
    async with serving(StandinOptions()) as standin:
        words = ("run", "-", *asking(standin.base_url, tmp_path), "--out", nights.output.folder)
        for rows in ("# all\nclip-00.mp4\n", '{"path": "clip-01.mp4", "id": 5}\n'):
            given.write_text(rows)
            ended = await there(*words, "--quiet", stdin=given)
            assert ended.exit_code == 0, ended.stderr
        assert (await there(*words)).exit_code == 0  # an empty list
    assert [(line["source"], line["id"]) for line in nights.output.captions] == [
        ("clip-00.mp4", ""),
        ("clip-01.mp4", "5"),
    ]


async def test_lines_of_rows_are_known_as_current(
    own_films: Callable[[int], Path], nights: Nights
) -> None:
    """A caption that came of a row's own prompt is current for export and prune."""
    listing = own_films(2) / "all.csv"
    listing.write_text("path,prompt,end_s\nclip-00.mp4,Who?,\nclip-01.mp4,,\nclip-01.mp4,Who?,30\n")
    async with serving(StandinOptions()) as standin:
        await nights.run(standin, input={"sources": [listing]})

    def states() -> dict[State, int]:
        with find_lines(nights.output.folder) as found:
            return found.index.counts()

    assert await anyio.to_thread.run_sync(states) == {State.CURRENT: 3}


async def test_failures_of_rows_stand(nights: Nights, tmp_path: Path) -> None:
    """A row that failed for good still stands failed after a run over other films."""
    nights.videos.mkdir()
    (nights.videos / "text.mp4").write_bytes(b"no film" * 100)
    listing, other = nights.videos / "all.csv", tmp_path / "other.csv"
    listing.write_text("path,prompt\ntext.mp4,Who?\n")
    other.write_text("path,prompt\ngone.mp4,Who?\n")
    async with serving(StandinOptions()) as standin:
        await nights.run(standin, input={"sources": [listing]})
        await nights.run(standin, input={"sources": [other]})
    assert {line["code"] for line in nights.output.failures} >= {"not_video"}
