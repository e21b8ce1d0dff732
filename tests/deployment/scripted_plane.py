"""A control plane that answers by a script, for tests that need each answer to be exact."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from pydantic import SecretStr

from captionfleet.config import DeploymentConfig
from captionfleet.deployment.lifecycle.managed import Managed
from captionfleet.deployment.plane.client import Waits, open_client
from captionfleet.deployment.plane.plane import Plane
from captionfleet.deployment.protocol.calls import Target, Wanted
from tests.deployment.planes import DEAD, KEY
from tests.support.replica import ScriptedReplica, Step, scripted

TARGET = Target("acme", "omni")
WANTED = Wanted(base_model="accounts/fireworks/models/qwen3-omni-30b-a3b-instruct", shape="s")
SHORT = Waits(
    first_wait_s=0.01,
    look_every_s=0.01,
    look_again_s=(0.01, 0.01, 0.01),
    again_s=0.01,
    refused_s=0.1,
)


@asynccontextmanager
async def asked(
    *script: Step, waits: Waits = SHORT
) -> AsyncIterator[tuple[Plane, ScriptedReplica]]:
    """A control plane that answers by a script."""
    async with scripted(*script) as server:
        base = server.base_url.removesuffix("/v1")
        async with open_client(base, SecretStr(KEY), waits) as client:
            with anyio.fail_after(60):
                yield Plane(client), server


def state(**fields: Any) -> dict[str, Any]:
    """A deployment as the control plane returns it."""
    return {
        "name": TARGET.name,
        "state": "READY",
        "minReplicaCount": 1,
        "maxReplicaCount": 2,
        "desiredReplicaCount": 2,
        "baseModel": WANTED.base_model,
    } | fields


def grpc(code: int, message: str = "no", *details: str) -> dict[str, Any]:
    """An error as a gRPC gateway words it."""
    return {
        "code": code,
        "message": message,
        "details": [{"@type": f"type.googleapis.com/google.rpc.{one}"} for one in details],
    }


def managed(base_url: str, waits: Waits = SHORT, **life: Any) -> Managed:
    """A run's deployment, at the control plane of this server."""
    names = {"account": TARGET.account, "deployment_id": TARGET.deployment_id}
    own = {"api_base": base_url.removesuffix("/v1"), "poll_s": 0.01}
    deployment = DeploymentConfig.model_validate({"lifecycle": names | own | life})
    assert deployment.lifecycle is not None
    return Managed(deployment, deployment.lifecycle, DEAD, waits)
