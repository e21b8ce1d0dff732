"""A halted fleet answers what it was asked, and is asked nothing more."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import orjson
import pytest
from aiohttp import web

from captionfleet.messages import Caption, Outcome, ReadyClip
from captionfleet.sender import open_fleet, send
from captionfleet.telemetry import Tally
from tests.support.ready import job, ready_clip
from tests.support.replica import Step, answer, caption, completion, scripted

pytestmark = pytest.mark.anyio

PLACES = 4


async def test_no_request_begins_after_the_halt(tmp_path: Path) -> None:
    """Of twenty clips, the four in flight are captioned, and no other is sent."""
    all_in, go_on = anyio.Event(), anyio.Event()
    captioned = caption()

    async def held(request: web.Request) -> web.StreamResponse:
        if replica.in_flight == PLACES:
            all_in.set()
        await go_on.wait()
        return await captioned(request)

    clips = [ready_clip(tmp_path, f"clip{number}") for number in range(20)]
    ready_out, ready_in = anyio.create_memory_object_stream[ReadyClip](20)
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome](20)
    for clip in clips:
        ready_out.send_nowait(clip)
    ready_out.close()
    async with scripted(*[held] * 20) as replica:
        asked = job(replica.base_url, max_in_flight=PLACES, adaptive=False)
        with anyio.fail_after(60), outcomes_in:
            async with open_fleet(asked, Tally()) as fleet, anyio.create_task_group() as tasks:
                tasks.start_soon(send, asked, fleet, ready_in, outcomes_out, Tally())
                await all_in.wait()
                fleet.halted.set()
                go_on.set()
            outcomes = [outcome async for outcome in outcomes_in]
        assert len(outcomes) == PLACES
        assert len(replica.seen) == PLACES


async def halted_in_back_off(folder: Path, *script: Step) -> Sequence[Outcome]:
    """What comes of a clip whose last request failed, and whose next one is far off, at a halt."""
    ready_out, ready_in = anyio.create_memory_object_stream[ReadyClip](1)
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome](1)
    ready_out.send_nowait(ready_clip(folder))
    ready_out.close()
    async with scripted(*script, answer(500, b"", {"Retry-After": "90"})) as replica:
        plan = job(replica.base_url)
        with anyio.fail_after(30), outcomes_in:
            async with open_fleet(plan, Tally()) as fleet, anyio.create_task_group() as tasks:
                tasks.start_soon(send, plan, fleet, ready_in, outcomes_out, Tally())
                while replica.script or replica.in_flight:  # noqa: ASYNC110 - no event
                    await anyio.sleep(0.005)
                await anyio.wait_all_tasks_blocked()
                fleet.halted.set()
            return [outcome async for outcome in outcomes_in]


async def test_a_halt_ends_the_wait_before_a_retry(tmp_path: Path) -> None:
    """A clip that waits for its next request is left to the next run at once."""
    assert await halted_in_back_off(tmp_path) == []


async def test_a_halt_returns_the_caption_in_hand(tmp_path: Path) -> None:
    """A caption for which a better one was asked is written, with both requests."""
    stuck = answer(200, orjson.dumps(completion("the waves roll in " * 30)))
    (outcome,) = await halted_in_back_off(tmp_path, stuck)
    assert isinstance(outcome, Caption)
    assert outcome.flags == ("degenerate",)
    assert [attempt.status for attempt in outcome.attempts] == [200, 500]
