"""Turning a deployment off at the end of a night, whatever the control plane answers meanwhile."""

from dataclasses import replace
from typing import Any

import anyio
import pytest

from captionfleet.deployment.lifecycle.reaping import reap
from captionfleet.deployment.lifecycle.records import Record, Records
from captionfleet.deployment.lifecycle.turning_off import turn_off
from captionfleet.errors import DeploymentError
from captionfleet.telemetry import utc_now
from tests.deployment.planes import DEAD, KEY
from tests.deployment.scripted_plane import SHORT, TARGET, asked, grpc, managed, state
from tests.support.replica import ScriptedReplica, Step, answer, scripted, times

pytestmark = pytest.mark.anyio

ON, OFF = answer(200, state()), answer(200, state(minReplicaCount=0, maxReplicaCount=0))
GONE = answer(404, grpc(5))
PAGE = answer(404, b"<html>Not Found</html>")
SLOW = replace(SHORT, again_s=0.5)  # so that the time is up between two calls
OBEYED = [ON, ON, ON, OFF]  # look, look, PATCH, look


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("FIREWORKS_API_KEY", KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def recorded(server: ScriptedReplica | None = None, **fields: Any) -> Record:
    """What a killed run left on the disk; it did not create the deployment."""
    api_base = server.base_url.removesuffix("/v1") if server else "http://h"
    names = {"account": TARGET.account, "deployment_id": TARGET.deployment_id}
    own = {"owner": DEAD, "api_base": api_base, "api_key_env": "FIREWORKS_API_KEY"}
    return Record(**(own | names | fields))


async def test_turning_off_waits_for_what_may_yet_appear() -> None:
    """A deployment that was asked for lately is not gone because it is not known yet."""
    async with asked(*times(9, GONE), *OBEYED) as (plane, _):
        assert (await turn_off(plane, recorded(asked_at_utc=utc_now()))).startswith("omni is off")


@pytest.mark.parametrize("at", ["", "2026-11-22T00:00:00Z", "9999-01-01T00:00:00Z", "yesterday"])
async def test_gone_is_believed_at_several_looks_only(at: str) -> None:
    """One 404 at the end of a night does not leave a deployment on; the control plane's last do."""
    record = recorded(asked_at_utc=at)
    async with asked(*times(3, GONE), *OBEYED) as (plane, _):
        assert (await turn_off(plane, record)).startswith("omni is off")
    async with asked(*times(4, GONE)) as (plane, server):
        assert await turn_off(plane, record) == "omni is gone already"
    assert len(server.seen) == 4


async def test_gone_is_never_believed_of_a_gateway() -> None:
    """However often a gateway answers 404, the run ends with that: the deployment may be on."""
    async with scripted(*times(500, PAGE)) as server:
        one = managed(server.base_url, end_timeout_s=3, poll_s=0.5, waits=SLOW)
        with anyio.fail_after(60), pytest.raises(DeploymentError, match="answers 404"):
            await one.turn_off()
    assert one.done == ""
    assert len(server.seen) > 1


REFUSALS: dict[str, list[Step]] = {
    "a page": [PAGE],
    "a key not known yet": [answer(401, grpc(16)), answer(403, grpc(7))],
    "a redirect": [answer(307, b"", {"Location": "/"})],
    "away": times(6, answer(503)),
    "another change under way": [ON, ON, answer(409, grpc(10))],
    "still creating": [ON, ON, answer(400, grpc(9))],
    "not an answer": [answer(200, b"<html>")],
    "the bounds of before": [ON, ON, *times(5, ON)],
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_turning_off_is_tried_for_as_long_as_the_job_says(name: str) -> None:
    """A refusal that does not last, of any kind, leaves nothing on while there is time."""
    async with scripted(*REFUSALS[name], *OBEYED) as server:
        one = managed(server.base_url)
        with anyio.fail_after(20):
            await one.turn_off()
    assert one.done.startswith("omni is off")


async def test_deletion_that_did_nothing_is_repeated() -> None:
    """A 404 to the deletion itself, of a deployment that is there, is not the end of it."""
    deleted = answer(200, state(state="DELETED"))
    script = [ON, GONE, ON, ON, answer(200, {}), deleted]
    async with scripted(*script) as server:
        one = managed(server.base_url, at_end="delete")
        one.record = one.record.model_copy(update={"created": True})
        with anyio.fail_after(20):
            await one.turn_off()
    assert one.done == "omni is deleted"
    assert [seen.method for seen in server.seen].count("DELETE") == 2


@pytest.mark.parametrize(
    "refusal",
    [PAGE, GONE, answer(403, grpc(7)), answer(409, grpc(10))],
    ids=["a page", "gone", "no rights", "another change"],
)
async def test_reap_believes_no_single_refusal(refusal: Step) -> None:
    """`reap` turns off what is there after a refusal, and keeps the record of what refuses on."""
    records = Records()
    async with scripted(refusal, *OBEYED) as server:
        record = recorded(server)
        await anyio.to_thread.run_sync(records.write, record)
        (reaped,) = await reap(records, (), waits=SHORT)
    assert reaped.words.startswith("omni is off")
    assert await anyio.to_thread.run_sync(records.all) == []


async def test_reap_keeps_the_record_of_what_refuses_on() -> None:
    """What a gateway hides for longer than `reap` waits is still recorded, for the next one."""
    records = Records()
    async with scripted(*times(500, PAGE)) as server:
        await anyio.to_thread.run_sync(records.write, recorded(server))
        with anyio.fail_after(20):
            (reaped,) = await reap(records, (), waits=SHORT)
    assert reaped.is_left
    assert "answers 404" in reaped.words
    assert len(await anyio.to_thread.run_sync(records.all)) == 1
