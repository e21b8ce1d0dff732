"""Bringing a deployment up although the control plane refuses for a moment."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from captionfleet.deployment.lifecycle.managed import Managed
from captionfleet.deployment.lifecycle.records import Records
from captionfleet.deployment.lifecycle.waiting import Patience, until_serving
from captionfleet.deployment.protocol.refusals import ControlError
from tests.deployment.planes import KEY
from tests.deployment.scripted_plane import TARGET, asked, grpc, managed, state
from tests.support.replica import Step, answer, caption, times

pytestmark = pytest.mark.anyio

BOUNDS = {"minReplicaCount": 0, "maxReplicaCount": 1}
FINE = answer(200, state(**BOUNDS))
OFF = answer(200, state(minReplicaCount=0, maxReplicaCount=0))
GONE = answer(404, grpc(5))
DENIED = answer(403, grpc(7, "not yours"))
QUOTA = answer(429, grpc(8, "8 GPUs", "QuotaFailure"))
OTHER = answer(200, state(baseModel="accounts/fireworks/models/molmo2-4b"))
CHANGING = answer(200, state(state="UPDATING"))


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FIREWORKS_API_KEY", KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


async def brought_up(*script: Step, **life: Any) -> tuple[Managed, list[str]]:
    """Bring it up; return it, and the methods of the calls."""
    one = managed("http://h", **life)
    async with asked(*script) as (plane, server):
        await one.bring_up(plane, Records(), lambda _: None)
    return one, [seen.method for seen in server.seen]


PASSING: dict[str, list[Step]] = {
    "refused twice": [DENIED, DENIED, FINE],
    "refused, not answered, refused": [DENIED, DENIED, *times(4, answer(503)), DENIED, FINE],
    "a page": [answer(404, b"<html>"), FINE],
    "a redirect": [answer(307, b"", {"Location": "/"}), FINE],
    "a create that is refused": [GONE, GONE, DENIED, GONE, GONE, FINE],
    "calls too fast": [*times(13, answer(429, grpc(8))), FINE],
    "creates too fast": [GONE, GONE, answer(429, grpc(8)), FINE],
    "changing for a while": [*[CHANGING, CHANGING, answer(400, grpc(9))] * 5, FINE],
    "another change": [*[OFF, OFF, answer(409, grpc(10))] * 5, FINE],
}


@pytest.mark.parametrize("name", PASSING)
async def test_refusal_that_passes_costs_no_night(name: str) -> None:
    """What is refused for a moment is asked again, and then comes up."""
    with anyio.fail_after(20):
        one, _ = await brought_up(*PASSING[name])
    assert one.is_recorded


LASTING: dict[str, tuple[list[Step], str, int]] = {
    "no rights": (times(9, DENIED), "not yours", 3),
    "calls a gateway's": (times(9, answer(404, b"<html>")), "answers 404", 3),
    "quota": ([GONE, GONE, QUOTA], "8 GPUs", 3),
    "wrong argument": ([GONE, GONE, answer(400, grpc(3))], "400 INVALID_ARGUMENT", 3),
    "another model": ([OTHER], "is a deployment of", 1),
    "another model, not found at first": ([GONE, OTHER], "is a deployment of", 2),
}


@pytest.mark.parametrize("name", LASTING)
async def test_refusal_that_lasts_ends_the_wait(name: str) -> None:
    """Three refusals in a row, or one that no retry changes, end the wait and leave no record."""
    script, said, count = LASTING[name]
    one = managed("http://h")
    async with asked(*script) as (plane, server):
        with anyio.fail_after(20), pytest.raises(ControlError, match=said):
            await one.bring_up(plane, Records(), lambda _: None)
    assert len(server.seen) == count
    assert not one.is_recorded
    assert await anyio.to_thread.run_sync(Records().all) == []


async def test_one_that_a_first_look_missed_is_switched_on() -> None:
    """One that is off, and that a 404 hides, is scaled; it is not this run's to delete."""
    one, methods = await brought_up(GONE, OFF, OFF, answer(200, {}), FINE, at_end="delete")
    assert methods == ["GET", "GET", "GET", "PATCH", "GET"]
    assert not one.record.created
    one, methods = await brought_up(
        *(GONE, GONE, answer(409, grpc(6)), OFF, OFF, answer(200, {}), FINE), at_end="delete"
    )
    assert methods == ["GET", "GET", "POST", "GET", "GET", "PATCH", "GET"]
    assert not one.record.created


async def test_rate_limit_does_not_end_the_wait_for_one_that_loads() -> None:
    """A 429 to a look says nothing about the deployment, however often it is repeated."""
    up = answer(200, state(replicaStats={"readyReplicaCount": 1}))
    async with asked(*times(16, answer(429, grpc(8))), up, caption(), up) as (plane, _):
        served = await until_serving(plane, TARGET, Patience(20, 0.01), models=("m",))
    assert served.deployment.ready == 1
