"""Several requests a clip: media once, a line each, and each for itself from night to night."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from aiohttp import web

from captionfleet import JobConfig, run_job
from captionfleet.errors import ConfigError
from captionfleet.media.orders import Order
from captionfleet.messages import Caption, Outcome
from captionfleet.sink import RunSummary
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from captionfleet.workers.process import WorkerProcess
from tests.support.command import Command
from tests.support.job_file import write_job
from tests.support.output import Output, key_of
from tests.support.replica import Seen, answer, caption, prompt_of, scripted
from tests.support.tiny_films import Library

Films = Callable[[int], Path]

pytestmark = pytest.mark.anyio

SHORT = {"name": "short", "prompt": "One sentence.", "max_tokens": 50}
LONG = {"name": "long", "prompt": "Everything that happens.", "system": "You describe films."}
TAGS = {"name": "tags", "prompt": "Ten words.", "temperature": 0}
RUN_S = 120.0


def job_of(
    base_url: str, folder: Path, store: Path, *requests: Mapping[str, Any]
) -> dict[str, Any]:
    """A job over the list in a folder, whose output folder is beside it."""
    return {
        "input": {"sources": [folder / "clips.csv"]},
        "store": {"dir": store},
        "workers": {"processes": 2},
        "request": list(requests),
        "output": {"dir": folder / "out"},
        "deployments": [{"base_url": base_url, "model": "omni", "api_key_env": ""}],
    }


async def night(job: Mapping[str, Any], **tables: Mapping[str, Any]) -> RunSummary:
    """One run; `tables` are laid over its sections."""
    laid = {name: {**job.get(name, {}), **table} for name, table in tables.items()}
    with anyio.fail_after(RUN_S):
        return await run_job(JobConfig.model_validate({**job, **laid}))


def write_rows(folder: Path, films: list[Path], count: int) -> None:
    """A list of windows, three of each film."""
    rows = [f"{films[number // 3]},0,{1 - number % 3 / 10:.1f}" for number in range(count)]
    (folder / "clips.csv").write_text("path,start_s,end_s\n" + "\n".join(rows) + "\n")


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    """What workers are given to prepare."""
    given: list[Order] = []
    work_on = WorkerProcess.work_on

    async def counted(self: WorkerProcess, order: Any) -> Any:
        given.append(order)
        return await work_on(self, order)

    monkeypatch.setattr(WorkerProcess, "work_on", counted)
    return given


async def test_three_requests_share_the_media_and_go_their_own_ways(
    library: Library, tmp_path: Path, output: Output, orders: list[Order]
) -> None:
    """Over 50 clips: prepared 50 times, 150 lines, and one request is replaced alone."""
    write_rows(tmp_path, library.films, 50)
    async with serving(StandinOptions(watch_media=False)) as standin:
        job = job_of(standin.base_url, tmp_path, tmp_path / "store", SHORT, LONG, TAGS)
        summary = await night(job)
        assert (summary.captioned, len(orders), standin.ledger.total) == (150, 50, 150)
        _check_lines(output, summary)

        assert (await night(job)).already_captioned == 150

        job["request"][2] = TAGS | {"prompt": "Five words."}
        with pytest.raises(ConfigError, match=r"of request tags .*Ten words.*--recaption"):
            await night(job)
        before = {key_of(line): line for line in output.captions}
        assert standin.ledger.total == 150

        again = {"input": {"only_request": ["tags"]}, "output": {"recaption": True}}
        assert (await night(job, **again)).captioned == 50
        assert standin.ledger.total == 200
        after = {key_of(line): line for line in output.captions}
        replaced = {key for key, line in after.items() if line != before[key]}
        assert replaced == {key for key in before if key[1] == "tags"}
        assert after.keys() == before.keys()

        assert (await night(job)).already_captioned == 150
        assert (standin.ledger.total, len(orders)) == (200, 50)


def _check_lines(output: Output, summary: RunSummary) -> None:
    lines = output.captions
    assert Counter(line["request"] for line in lines) == summary.requests
    assert summary.requests == {"short": 50, "long": 50, "tags": 50}
    assert len({(line["request"], line["fingerprint"]) for line in lines}) == 3
    media = {(line["clip_id"], line["media"]["video_sha256"]) for line in lines}
    assert len(media) == 50
    assert summary.latency["prepare_s"] is not None
    assert summary.latency["prepare_s"].count == 50
    assert "150 captions" in summary.text()


async def test_a_request_that_fails_takes_no_other_with_it(
    library: Library, tmp_path: Path, output: Output
) -> None:
    """Each keeps its failures, and asks for them again, whatever the others come to."""
    write_rows(tmp_path, library.films, 3)
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    with (tmp_path / "clips.csv").open("a") as rows:
        rows.write("broken.mp4,,\n")
    async with scripted() as replica:
        replica.default = _refusing("Ten words.")
        job = job_of(replica.base_url, tmp_path, library.store, SHORT, TAGS)
        first = await night(job)
        failed = Counter((line["request"], line["code"]) for line in output.failures)
        assert failed == {
            ("tags", "rejected"): 3, ("short", "not_video"): 1, ("tags", "not_video"): 1,
        }  # fmt: skip
        assert (first.captioned, first.failed) == (3, 5)

        only = {"input": {"only_request": ["short"]}}
        assert (await night(job, **only)).already_captioned == 3
        assert len(output.failures) == 5

        replica.default = caption()
        replica.seen.clear()
        last = await night(job)
        assert (last.captioned, last.standing_failures) == (3, 2)
        assert {_prompt(seen) for seen in replica.seen if seen.body} == {"Ten words."}
    assert Counter(line["request"] for line in output.captions) == {"short": 3, "tags": 3}


def _refusing(prompt: str) -> Any:
    answer = caption()

    async def step(request: Any) -> Any:
        if prompt.encode() in await request.read():
            return web.json_response({"error": {"message": "no"}}, status=400)
        return await answer(request)

    return step


def _prompt(seen: Seen) -> str:
    return prompt_of(seen.json)


async def test_a_job_whose_request_gets_a_name_pays_for_nothing_again(
    library: Library, tmp_path: Path, output: Output
) -> None:
    """Its lines take the name, as do those of a request that is renamed; new requests are asked."""
    write_rows(tmp_path, library.films, 4)
    plain = {key: value for key, value in LONG.items() if key != "name"}
    async with serving(StandinOptions(watch_media=False)) as standin:
        job = job_of(standin.base_url, tmp_path, library.store)
        await night(job | {"request": plain})
        assert {line["request"] for line in output.captions} == {""}

        named = await night(job | {"request": [SHORT, LONG]})
        assert (named.captioned, named.already_captioned) == (4, 4)
        assert Counter(line["request"] for line in output.captions) == {"short": 4, "long": 4}

        renamed = await night(job | {"request": [SHORT, LONG | {"name": "whole"}]})
        assert renamed.already_captioned == 8
        assert Counter(line["request"] for line in output.captions) == {"short": 4, "whole": 4}

        with pytest.raises(ConfigError, match="requests with names"):
            await night(job | {"request": {"prompt": "Anything else?"}})
        assert standin.ledger.total == 8


async def test_the_command_line_chooses_a_request(
    library: Library, command: Command, output: Output, own_films: Films
) -> None:
    """By name: to look at what would be done, to ask it alone, and to give flags to it."""
    videos = own_films(2)
    async with serving(StandinOptions(watch_media=False)) as standin:
        job = write_job(command.folder / "job.toml", standin, tables={"request": [SHORT, TAGS]})
        words = ("run", videos, "--job", job, "--store", library.store, "--out", "out")
        dry = await command(*words, "--dry-run")
        assert "4 captions: 4 new" in dry.stdout
        assert "2 short, 2 tags" in dry.stdout
        unknown = await command(*words, "--only-request", "tag")
        assert (unknown.exit_code, "short, tags" in unknown.complaint) == (2, True)
        ambiguous = await command(*words, "--prompt", "What?")
        assert (ambiguous.exit_code, "--only-request" in ambiguous.complaint) == (2, True)

        alone = await command(*words, "--only-request", "tags", "--prompt", "What?")
        assert (alone.exit_code, standin.ledger.total) == (0, 2), alone.stderr
    assert {line["request"] for line in output.captions} == {"tags"}


async def test_a_template_asks_each_clip_its_own_question(
    library: Library, tmp_path: Path, output: Output
) -> None:
    """From the row and the film; the line has the prompt's hash, and nothing is paid again."""
    first, second = library.films[:2]
    (tmp_path / "clips.csv").write_text(
        f'path,title\n{first},"A {{metadata.title}} ""x"""\n{second},Two\n'
    )
    titled = {
        "name": "titled",
        "prompt": "{metadata.title}, {clip.seconds} s of {path.stem}: what happens? {{}}",
        "prompt_template": True,
    }
    async with scripted() as replica:
        job = job_of(replica.base_url, tmp_path, library.store, titled)
        assert (await night(job)).captioned == 2
        asked = {_prompt(seen) for seen in replica.seen if seen.body}
        assert asked == {
            'A {metadata.title} "x", 1 s of clip-00: what happens? {}',
            "Two, 2 s of clip-01: what happens? {}",
        }
        prints = {line["fingerprint"].partition("-")[::2] for line in output.captions}
        assert len({request for request, _ in prints}) == 1
        assert len({prompt for _, prompt in prints if prompt}) == 2

        assert (await night(job)).already_captioned == 2
        job["request"] = [titled | {"prompt_template": False}]
        with pytest.raises(ConfigError, match="prompt_template: true there"):
            await night(job)


async def test_a_row_without_a_title_costs_no_other_request_its_media(
    library: Library, tmp_path: Path, output: Output
) -> None:
    """A request that is sent again once another has its line still finds the clip's media."""
    titled = {"name": "titled", "prompt": "Is it {metadata.title}?", "prompt_template": True}
    rows = [{"path": str(library.films[0]), "title": "One"}, {"path": str(library.films[1])}]
    (tmp_path / "clips.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    is_kept: dict[str | None, anyio.Event] = defaultdict(anyio.Event)
    refused: set[str | None] = set()

    async def keep(outcome: Outcome) -> None:
        if isinstance(outcome, Caption) and outcome.request == "short":
            is_kept[outcome.facts.video_sha256].set()

    async def step(request: web.Request) -> web.StreamResponse:
        sent = replica.seen[-1]
        film = sent.sha256("video_url")
        if _prompt(sent) != LONG["prompt"] or film in refused:
            return await caption()(request)
        refused.add(film)
        await is_kept[film].wait()
        return await answer(500)(request)

    async with scripted() as replica:
        replica.default = step
        job = job_of(replica.base_url, tmp_path, library.store, SHORT, LONG, titled)
        job["input"] = {"sources": [tmp_path / "clips.jsonl"]}
        with anyio.fail_after(RUN_S):
            summary = await run_job(JobConfig.model_validate(job), on_outcome=keep)
    assert len(refused) == 2
    assert [(line["request"], line["code"]) for line in output.failures] == [("titled", "bad_row")]
    assert (summary.captioned, summary.failed) == (5, 1)
