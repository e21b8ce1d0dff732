"""Captions of several requests stay with their own clip and name, whatever befalls the run."""

import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import orjson
import pytest

from captionfleet.messages import Caption
from tests.support.command import Command
from tests.support.job_file import write_job
from tests.support.output import Output
from tests.support.ready import job as job_of
from tests.support.ready import ready_clip
from tests.support.replica import Seen, echo, prompt_of, raw, scripted
from tests.support.sending import QUICK, sent
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

NAMES = ("short", "long", "tags")
FILMS, KILLS = 8, 3
REQUESTS = [
    {"name": name, "prompt": f"{name} {{path.stem}}", "prompt_template": True} for name in NAMES
]


def asked(seen: list[Seen]) -> list[str]:
    """The prompts of whole requests: each names its request and its film."""
    return [prompt_of(one.json) for one in seen if one.body]


async def test_kill_after_kill_each_request_keeps_its_own(
    library: Library, tmp_path: Path, command: Command, own_films: Callable[[int], Path]
) -> None:
    """SIGKILL in the midst: a line for each clip and request, none asked that had its line."""
    videos, out = own_films(FILMS), tmp_path / "out"
    dice = random.Random(4)  # noqa: S311 - it chooses moments
    async with scripted() as replica:
        replica.default = echo(0.02)
        tables = {"request": REQUESTS, "input": {"settle_s": 0}}
        job = write_job(tmp_path / "job.toml", replica.base_url, tables=tables, max_in_flight=2)
        words = ("run", videos, "--job", job, "--store", library.store, "--out", out)
        again = 0
        for kill in range(KILLS):
            before, enough = len(replica.seen), (kill + 1) * FILMS * len(NAMES) // (KILLS + 2)
            kept = _prompts_kept(out)
            async with command.started(*words) as running:
                await running.until(lambda enough=enough: len(_prompts_kept(out)) >= enough)
                await anyio.sleep(dice.uniform(0, 0.05))  # any moment will do
                running.signal_group(signal.SIGKILL)
                await running.ended()
            again += _again(kept, replica.seen[before:])
        before, kept = len(replica.seen), _prompts_kept(out)
        ended = await command(*words)
        again += _again(kept, replica.seen[before:])
    assert ended.exit_code == 0, ended.stderr
    assert again == 0
    lines = Output(out).captions
    assert Counter(line["request"] for line in lines) == dict.fromkeys(NAMES, FILMS)
    for line in lines:
        assert line["caption"] == f"{line['request']} {Path(line['source']).stem}"
    assert len({(line["clip_id"], line["request"]) for line in lines}) == len(lines)


def _prompts_kept(out: Path) -> set[str]:
    """The prompts of the lines that are whole, as each caption is its prompt."""
    try:
        lines = (out / "captions.jsonl").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return set()
    return {orjson.loads(line)["caption"] for line in lines}


def _again(kept: set[str], seen: list[Seen]) -> int:
    return sum(prompt in kept for prompt in asked(seen))


async def test_a_hedged_request_keeps_its_name(tmp_path: Path) -> None:
    """Where a second deployment is asked, too, one caption of each request counts, and its own."""
    hangs = [raw(b"", end="hang")] * 2
    clips = [ready_clip(tmp_path, f"c{number}", video_bytes=100) for number in range(12)]
    clips = [replace(one, clip=replace(one.clip, requests=NAMES)) for one in clips]
    plain = job_of("http://127.0.0.1:9/v1")
    async with scripted(echo(), echo(), *hangs) as one, scripted() as other:
        one.default = other.default = echo()
        deployments = [
            plain.deployments[0].model_copy(update={"name": name, "base_url": replica.base_url})
            for name, replica in (("d1", one), ("d2", other))
        ]
        requests = [
            plain.request.model_copy(update={**table, "hedge_percentile": 50}) for table in REQUESTS
        ]
        job = plain.model_copy(
            update={
                "request": requests[0], "requests": tuple(requests),
                "deployments": tuple(deployments),
            }
        )  # fmt: skip
        parts = [part for clip in clips for part in clip.for_each_request()]
        run = await sent(job, parts, tuning=replace(QUICK, least_seen=1))
    captions = [outcome for outcome in run.outcomes if isinstance(outcome, Caption)]
    assert len(captions) == len(run.outcomes) == len(clips) * len(NAMES)
    assert len({(one.clip.clip_id, one.request) for one in captions}) == len(captions)
    assert all(one.text == f"{one.request} {one.clip.clip_id}" for one in captions)
    assert run.tally.hedges_won >= len(hangs)
