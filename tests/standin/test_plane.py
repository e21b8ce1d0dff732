"""The stand-in control plane over real HTTP: what it does, and how it refuses."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from aiohttp import ClientSession

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.plane.deployment import Deployment, Life
from captionfleet.standin.plane.options import ColdStart, PlaneOptions, parse_autoscale
from captionfleet.standin.plane.record import StandinPlane
from captionfleet.standin.plane.server import serving_plane

pytestmark = pytest.mark.anyio

OMNI = "accounts/fireworks/models/qwen3-omni-30b-a3b-instruct"
BODY = {
    "baseModel": OMNI,
    "deploymentShape": "any",
    "minReplicaCount": 1,
    "maxReplicaCount": 2,
    "autoscalingPolicy": {"scaleToZeroWindow": "600s"},
}
DEPLOYMENTS = "/v1/accounts/stand-in/deployments"
CHAT = "/inference/v1/chat/completions"
NAMED = "accounts/stand-in/deployments/d"


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls a stand-in control plane."""

    plane: StandinPlane
    session: ClientSession

    async def __call__(
        self, method: str, path: str, body: object = None, key: str = ""
    ) -> tuple[int, Any]:
        """The status and the JSON that a call is answered with."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        url = self.plane.api_base + path
        async with self.session.request(method, url, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def ask(self, model: str = NAMED) -> tuple[int, Any]:
        """A request of one line."""
        messages = [{"role": "user", "content": "Say ok."}]
        return await self("POST", CHAT, {"model": model, "messages": messages, "max_tokens": 1})

    async def made(self, **fields: Any) -> None:
        """A deployment `d`."""
        status, _ = await self("POST", f"{DEPLOYMENTS}?deploymentId=d", BODY | fields)
        assert status == 200

    async def until_answered(self) -> None:
        """Ask until a replica is there."""
        with anyio.fail_after(60):
            while (await self.ask())[0] != 200:  # noqa: ASYNC110 - as clients do
                await anyio.sleep(0.01)


@asynccontextmanager
async def calling(**options: Any) -> AsyncIterator[Caller]:
    """A control plane where a minute is 60 ms."""
    given: dict[str, Any] = {"time_scale": 0.001} | options
    async with serving_plane(PlaneOptions(**given)) as plane, ClientSession() as session:
        yield Caller(plane, session)


async def test_replicas_answer_once_they_are_ready() -> None:
    """A new deployment refuses with DEPLOYMENT_SCALING_UP, and answers when a replica is up."""
    async with calling(time_scale=1) as call:
        await call.made()
        status, refusal = await call.ask()
        assert (status, refusal["error"]["code"]) == (503, "DEPLOYMENT_SCALING_UP")
        call.plane.account.deployments["d"].lives[:] = [Life(1, anyio.current_time() - 76.0)]
        assert (await call.ask())[0] == 200
        _, told = await call("GET", f"{DEPLOYMENTS}/d")
    assert told["state"] == "READY"
    assert told["replicaStats"] == {"readyReplicaCount": 1}
    assert call.plane.asleep >= 1


async def test_all_ways_to_name_a_deployment_are_known() -> None:
    """The three documented model strings reach it; another model, account or name is a 404."""
    async with calling() as call:
        await call.made()
        await call.until_answered()
        known = [f"{OMNI}#{NAMED}", f"{OMNI.replace('fireworks', 'stand-in')}#{NAMED}", NAMED]
        assert [(await call.ask(model))[0] for model in known] == [200, 200, 200]
        others = [f"{OMNI}x#{NAMED}", "accounts/other/deployments/d", f"{NAMED}x", OMNI, ""]
        assert [(await call.ask(model))[0] for model in others] == [404] * 5


async def test_patch_without_a_mask_replaces_everything() -> None:
    """As the real one does, a PATCH without updateMask resets what the body does not hold."""
    two = {"maxReplicaCount": 2, "minReplicaCount": 2}
    async with calling(time_scale=1) as call:
        await call.made()
        masked = f"{DEPLOYMENTS}/d?updateMask=min_replica_count,max_replica_count"
        _, kept = await call("PATCH", masked, two)
        assert kept["autoscalingPolicy"] == BODY["autoscalingPolicy"]
        assert (kept["state"], kept["desiredReplicaCount"]) == ("CREATING", 2)
        _, lost = await call("PATCH", f"{DEPLOYMENTS}/d", two)
        assert "autoscalingPolicy" not in lost


REFUSED: dict[str, tuple[str, str, object, int, int]] = {
    "exists": ("POST", f"{DEPLOYMENTS}?deploymentId=d", BODY, 409, 6),
    "no shape": ("POST", DEPLOYMENTS, {"baseModel": OMNI}, 400, 3),
    "no model": ("POST", DEPLOYMENTS, {"deploymentShape": "s"}, 404, 5),
    "quota": ("POST", DEPLOYMENTS, BODY | {"minReplicaCount": 99}, 429, 8),
    "unknown field": ("POST", DEPLOYMENTS, BODY | {"nonsense": 1}, 400, 3),
    "no object": ("POST", DEPLOYMENTS, [], 400, 3),
    "not there": ("GET", f"{DEPLOYMENTS}/nosuch", None, 404, 5),
    "another account": ("GET", "/v1/accounts/other/deployments", None, 403, 7),
    "too many": ("PATCH", f"{DEPLOYMENTS}/d:scale", {"replicaCount": 3}, 400, 3),
    "bounds": (
        "PATCH",
        f"{DEPLOYMENTS}/d?updateMask=min_replica_count",
        {"minReplicaCount": 9},
        400,
        3,
    ),
    "immutable": (
        "PATCH",
        f"{DEPLOYMENTS}/d?updateMask=preemptible",
        {"preemptible": True},
        400,
        3,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refusal_is_worded_as_by_a_gateway(name: str) -> None:
    """Refusals have the documented status and the number of their gRPC code."""
    method, path, body, status, code = REFUSED[name]
    async with calling() as call:
        await call.made()
        answer = await call(method, path, body)
    assert (answer[0], answer[1]["code"]) == (status, code)


async def test_key_that_may_only_read() -> None:
    """A key without an admin's rights may look and ask, and change nothing; no key does less."""
    replica = StandinOptions(api_key="admin")
    async with calling(replica=replica, read_only_key="reader") as call:
        statuses = [
            (await call("POST", f"{DEPLOYMENTS}?deploymentId=d", BODY, key))[0]
            for key in ("reader", "", "admin")
        ]
        assert statuses == [403, 401, 200]
        assert (await call("GET", DEPLOYMENTS, key="reader"))[0] == 200
        assert (await call("GET", DEPLOYMENTS))[0] == 401
        assert (await call("GET", "/inference/v1/models", key="reader"))[0] == 200


async def test_scale_and_delete() -> None:
    """:scale sets the replicas there are; what has just served is deleted only by force."""
    async with calling() as call:
        await call.made(minReplicaCount=0)
        await call.until_answered()
        _, scaled = await call("PATCH", f"{DEPLOYMENTS}/d:scale", {"replicaCount": 0})
        assert "desiredReplicaCount" not in scaled
        status, refusal = await call("DELETE", f"{DEPLOYMENTS}/d")
        assert (status, refusal["code"]) == (400, 9)
        assert (await call("DELETE", f"{DEPLOYMENTS}/d?ignoreChecks=true"))[0] == 200
        assert (await call("GET", f"{DEPLOYMENTS}/d"))[1]["state"] == "DELETED"
        assert (await call.ask())[0] == 404


def deployment(**options: Any) -> Deployment:
    """A deployment with slots for two requests in each replica, made at second 0."""
    spec = {"acceleratorCount": 1, "minReplicaCount": 0, "maxReplicaCount": 3}
    replica = StandinOptions(slots=2)
    return Deployment("d", spec, PlaneOptions(replica=replica, **options), 0.0)


def test_load_decides_on_replicas() -> None:
    """A request wakes one; load that lasts brings more, in the end none is left."""
    one = deployment()
    one.begin(0.0)
    assert one.desired == 1
    assert one.ready(74.0) == []
    assert len(one.ready(76.0)) == 1
    one.begin(80.0)
    for now_s, replicas in [(109.0, 1), (111.0, 2), (139.0, 2)]:
        one.advance(now_s)
        assert one.desired == replicas
    one.end(200.0, served=True)
    one.end(200.0, served=True)
    for now_s, replicas in [(790.0, 2), (801.0, 1), (3700.0, 1), (3801.0, 0)]:
        one.advance(now_s)
        assert one.desired == replicas
    assert one.is_in_use(3700.0)
    assert not one.is_in_use(3801.0)


def test_steps_decide_in_place_of_load() -> None:
    """With steps the number of requests alone says how many replicas there are."""
    one = deployment(autoscale=parse_autoscale("1:2,3:1"))
    seen = []
    for now_s in (1.0, 2.0, 3.0, 4.0):
        one.begin(now_s)
        one.end(now_s, served=True)
        seen.append(one.desired)
    assert seen == [2, 2, 1, 1]


def test_preempted_replica_starts_anew() -> None:
    """A replica that is taken away is no more, and another begins where it once began."""
    one = deployment(preempt_after=1, cold_start=ColdStart(1.0, 1.0, 1.0))
    one.begin(0.0)
    (first,) = one.lives
    one.begin(10.0)
    assert one.gone == [first]
    assert one.ready(10.0) == []
    assert one.desired == 1
    assert len(one.ready(13.0)) == 1


@pytest.mark.parametrize("text", ["1", "a:b", "1:-1", "1:2,"])
def test_wrong_steps_are_named(text: str) -> None:
    """Text that is no list of steps is refused with the grammar."""
    with pytest.raises(ValueError, match="REQUESTS:REPLICAS"):
        parse_autoscale(text)


def test_command_serves_a_control_plane() -> None:
    """With --control-plane the first line on stdout is the API's base; SIGTERM ends it with 0."""
    words = ("serve", "--control-plane", "--port", "0", "--autoscale", "1:2")
    with subprocess.Popen(
        [sys.executable, "-m", "captionfleet", *words],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert line.startswith("http://127.0.0.1:")
    assert line.strip().count("/") == 2
