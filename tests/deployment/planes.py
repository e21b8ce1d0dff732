"""Control planes at a pace for tests, and what is asserted of the calls they saw."""

import os
from typing import Any

from captionfleet.deployment.lifecycle.owner import Owner
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.plane.options import PlaneOptions
from captionfleet.standin.plane.record import CallRecord, StandinPlane

ACCOUNT = "acme"
KEY = "fw_Tr0ub4dor8AndThree"
OMNI = "captionfleet-qwen3-omni"
MASK = "min_replica_count,max_replica_count"
DEAD = Owner(pid=2**22 + 1, host=os.uname().nodename, boot_id="0" * 36, start_ticks="1")
REPLICA = StandinOptions(api_key=KEY, slots=4)


def plane_options(**options: Any) -> PlaneOptions:
    """A control plane where a minute is 60 ms."""
    own: dict[str, Any] = {"account": ACCOUNT, "replica": REPLICA, "time_scale": 0.001}
    return PlaneOptions(**(own | options))


def told(calls: list[CallRecord]) -> list[tuple[str, str, dict[str, str]]]:
    """Method, last part of the path, and query of each call."""
    return [(call.method, call.path.rpartition("/")[2], call.query) for call in calls]


def check_calls(plane: StandinPlane) -> None:
    """Every PATCH names what it changes, and nothing overrides a check that was not asked to."""
    for call in plane.calls:
        assert call.method != "PATCH" or call.query["updateMask"] == MASK
        assert "ignoreChecks" not in call.query
        assert "hard" not in call.query


def state_of(plane: StandinPlane, name: str = OMNI) -> tuple[int, int, int]:
    """Least, most and present number of replicas of a deployment."""
    one = plane.account.deployments[name]
    return one.spec["minReplicaCount"], one.spec["maxReplicaCount"], one.desired
