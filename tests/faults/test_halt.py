"""A halted fleet answers what it was asked, and is asked nothing more."""

from pathlib import Path

import anyio
import pytest
from aiohttp import web

from captionfleet.messages import Outcome, ReadyClip
from captionfleet.sender import open_fleet, send
from captionfleet.telemetry import Tally
from tests.support.ready import job, ready_clip
from tests.support.replica import caption, scripted

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
