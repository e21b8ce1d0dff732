"""Cancelled anywhere, the sender leaves no slot, no connection and no counter behind."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from captionfleet.messages import Caption, Outcome, ReadyClip
from captionfleet.sender.dispatch import send
from captionfleet.sender.fleet import Fleet, SenderTuning, open_fleet
from captionfleet.sender.slots import Slots
from captionfleet.telemetry import Tally
from tests.support.ready import job, ready_clip
from tests.support.replica import (
    ScriptedReplica,
    Step,
    answer,
    caption,
    raw,
    scripted,
    sse_lines,
    stream,
    unread,
)
from tests.support.sending import QUICK

pytestmark = pytest.mark.anyio

PLACES: dict[str, Step] = {
    "upload": unread(raw(b"", end="hang")),
    "answer": raw(b"", end="hang"),
    "headers": raw(b"HTTP/1.1 200 OK\r\nX:", end="hang"),
    "body": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", end="hang"),
    "refusal": raw(b"HTTP/1.1 500 No\r\nContent-Length: 99\r\n\r\n{", end="hang"),
    "stream": stream(sse_lines()[:3], end="hang"),
    "end of stream": stream(sse_lines()[:-1], end="hang"),
    "back-off": answer(429, b"", {"Retry-After": "60"}),
}


def assert_clean(fleet: Fleet, tally: Tally) -> None:
    assert tally.in_flight == 0
    for replica in fleet.router.replicas.values():
        assert replica.in_flight == 0
        assert not replica._is_probed
    connector = fleet.clients["d1"]._session.connector
    assert connector is not None
    assert not connector._acquired  # aiohttp's own count of leases


@asynccontextmanager
async def sending(
    replica: ScriptedReplica,
    clips: list[ReadyClip],
    tally: Tally,
    *others: ScriptedReplica,
    tuning: SenderTuning = QUICK,
    hold: Callable[[Outcome], object] | None = None,
    places: float = math.inf,
    **request: object,
) -> AsyncIterator[Fleet]:
    """The stage in the background, cancelled when the block ends.

    Its outcomes have this number of places to wait in, and none is taken up.
    """
    urls = [one.base_url for one in (replica, *others)]
    plan = job(*urls, request=request, max_in_flight=2)
    ready_out, ready_in = anyio.create_memory_object_stream[ReadyClip](len(clips))
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome](places)
    with ready_out, ready_in, outcomes_out, outcomes_in:
        for clip in clips:
            ready_out.send_nowait(clip)
        async with open_fleet(plan, tally, tuning) as fleet:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send, plan, fleet, ready_in, outcomes_out, tally, hold)
                yield fleet
                tasks.cancel_scope.cancel()
            assert_clean(fleet, tally)


@pytest.mark.parametrize("place", PLACES)
async def test_cancelling_leaks_nothing(place: str, tmp_path: Path) -> None:
    """Wherever requests hang when the run is cancelled, slots and connections come back."""
    tally = Tally()
    clips = [ready_clip(tmp_path, f"c{n}", video_bytes=5_000_000) for n in range(4)]
    async with scripted() as replica:
        replica.default = PLACES[place]
        with anyio.fail_after(60):
            async with sending(replica, clips, tally, stream=True):
                while not (replica.in_flight if place == "upload" else replica.seen):
                    await checkpoint()
                await anyio.sleep(0.05)


@pytest.mark.parametrize("first", range(0, 120, 40))
async def test_cancelling_at_every_step_leaks_nothing(first: int, tmp_path: Path) -> None:
    """Cancelled after any number of turns of the event loop, the stage leaves nothing behind."""
    clips = [ready_clip(tmp_path, f"c{n}", video_bytes=300_000) for n in range(5)]
    async with scripted() as replica:
        for turns in range(first, first + 40):
            replica.script = [answer(500), caption()]
            with anyio.fail_after(60):
                async with sending(replica, clips, Tally()):
                    for _ in range(turns):
                        await checkpoint()


@pytest.mark.parametrize("first", range(0, 120, 40))
async def test_cancelling_a_hedged_request_at_every_step_leaks_nothing(
    first: int, tmp_path: Path
) -> None:
    """With two requests out for one clip, cancelled after any number of turns, neither stays."""
    tuning = replace(QUICK, least_seen=1)
    clips = [ready_clip(tmp_path, f"c{n}", video_bytes=300_000) for n in range(5)]
    async with scripted() as one, scripted() as other:
        for turns in range(first, first + 40):
            one.script, other.script = [caption(), PLACES["answer"]], [PLACES["answer"]]
            with anyio.fail_after(60):
                plan = {"hedge_percentile": 50}
                async with sending(one, clips, Tally(), other, tuning=tuning, **plan) as fleet:
                    while not any(replica.captions for replica in fleet.router.replicas.values()):
                        await checkpoint()
                    for _ in range(turns):
                        await checkpoint()


async def test_cancelling_loses_no_answer(tmp_path: Path) -> None:
    """Answers that wait for a place among the outcomes were held before."""
    held: list[Outcome] = []
    clips = [ready_clip(tmp_path, f"c{n}") for n in range(4)]
    async with scripted() as replica:
        with anyio.fail_after(60):
            async with sending(replica, clips, Tally(), hold=held.append, places=1):
                while len(held) < len(clips):
                    await checkpoint()
    assert {outcome.clip for outcome in held} == {clip.clip for clip in clips}
    assert all(isinstance(outcome, Caption) for outcome in held)


async def test_cancelled_waiter_gives_its_lease_on() -> None:
    """A slot that is granted to a waiter in the moment of its cancellation goes to the next."""
    tally = Tally()
    got: list[str] = []
    async with open_fleet(job("http://127.0.0.1:1/v1", max_in_flight=1), tally) as fleet:
        slots = Slots(fleet, tally, patience_s=1)

        async def wait(name: str, scope: anyio.CancelScope) -> None:
            with scope:
                lease = await slots.lease()
                got.append(name)
                slots.abandon(lease)

        held = await slots.lease()
        scopes = [anyio.CancelScope() for _ in range(3)]
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for name, scope in zip("abc", scopes, strict=True):
                    tasks.start_soon(wait, name, scope)
                    await anyio.wait_all_tasks_blocked()
                scopes[0].cancel()
                scopes[1].cancel()
                slots.abandon(held)
        assert got == ["c"]
        assert_clean(fleet, tally)


async def test_waiters_are_served_in_order() -> None:
    """Whoever waits longest for a slot gets the next one."""
    tally = Tally()
    got: list[int] = []
    async with open_fleet(job("http://127.0.0.1:1/v1", max_in_flight=2), tally) as fleet:
        slots = Slots(fleet, tally, patience_s=1)

        async def wait(number: int) -> None:
            lease = await slots.lease()
            got.append(number)
            await checkpoint()
            slots.abandon(lease)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(wait, number)
                    await checkpoint()
        assert got == list(range(20))
        assert_clean(fleet, tally)


async def test_who_waits_for_another_deployment_lets_others_pass() -> None:
    """A clip that may not go where it failed blocks nobody who may."""
    tally = Tally()
    plan = job("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1", max_in_flight=1)
    async with open_fleet(plan, tally) as fleet:
        slots = Slots(fleet, tally, patience_s=1)
        first, second = await slots.lease(), await slots.lease()
        got: list[str] = []

        async def wait(avoid: str | None) -> None:
            lease = await slots.lease(avoid)
            got.append(lease.deployment)
            slots.abandon(lease)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, first.deployment)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(wait, None)
                await anyio.wait_all_tasks_blocked()
                slots.abandon(first)
                await anyio.wait_all_tasks_blocked()
                assert got == [first.deployment]
                slots.abandon(second)
        assert got == [first.deployment, second.deployment]
