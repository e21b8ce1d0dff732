"""What is read of answers, and what is said of deployments: pure functions under any input."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captionfleet.deployment import show
from captionfleet.deployment.protocol import calls
from captionfleet.deployment.protocol.calls import Target, Wanted
from captionfleet.deployment.protocol.refusals import ControlError, error_for, read_refusal
from captionfleet.deployment.protocol.states import DeploymentPage, DeploymentState, Shapes, read
from captionfleet.errors import ConfigError

TARGET = Target("acme", "omni")
OMNI = "accounts/fireworks/models/qwen3-omni-30b-a3b-instruct"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
keys = st.sampled_from(
    """
    name state status replicaStats autoscalingPolicy placement minReplicaCount maxReplicaCount
    deployments nextPageToken deploymentShapeVersions preemptible code message details error
    """.split()
)
answers = st.dictionaries(keys, json_values, max_size=6)
as_bytes = answers.map(lambda told: json.dumps(told).encode())


@settings(max_examples=40)
@given(told=json_values | answers)
def test_any_answer_is_read_or_refused(told: Any) -> None:
    """Whatever JSON comes, it is a deployment, a page, shapes, or one clear line."""
    for kind in (DeploymentState, DeploymentPage, Shapes):
        try:
            found = read(kind, told, "look")
        except ControlError as error:
            assert str(error).isprintable()  # noqa: PT017 - either is right
            assert len(str(error)) < 400  # noqa: PT017 - either is right
        else:
            assert isinstance(found, kind)
            if isinstance(found, DeploymentState):
                assert show.status_text(found).replace("\n", "").isprintable()
                assert found.label


@settings(max_examples=40)
@given(status=st.integers(300, 599), body=st.binary(max_size=200) | as_bytes)
def test_any_refusal_is_one_line(status: int, body: bytes) -> None:
    """Whatever an error's body holds, it becomes one printable line of bounded length."""
    line = str(error_for(read_refusal(status, body), "scale"))
    assert line.startswith("scale: the control plane answers ")
    assert line.isprintable()
    assert len(line) < 600


def state(**fields: Any) -> DeploymentState:
    """A deployment that is ready to be scaled."""
    told = {"name": TARGET.name, "state": "READY", "baseModel": OMNI} | fields
    return read(DeploymentState, told, "look")


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({}, "Inactive"),
        ({"maxReplicaCount": 1}, "Scaled to 0"),
        ({"maxReplicaCount": 1, "desiredReplicaCount": 1}, "Starting"),
        ({"maxReplicaCount": 1, "replicaStats": {"readyReplicaCount": 1}}, "Serving"),
        ({"state": "CREATING"}, "Creating"),
        ({"state": "STATE_UNSPECIFIED"}, "Unspecified"),
        ({"state": "SOMETHING_NEW"}, "Something_new"),
    ],
)
def test_label_is_that_of_the_service(fields: dict[str, Any], label: str) -> None:
    """READY alone says little: the label says whether it serves, sleeps or is off."""
    assert state(**fields).label == label


@pytest.mark.parametrize(
    ("gpu", "count", "told"),
    [
        ("", 0, "$12.00/h"),  # the predefined shape's
        ("NVIDIA_H200_141GB", 1, "$12.00/h"),
        ("NVIDIA_H100_80GB", 2, "$16.00/h"),
        ("AMD_MI300X_192GB", 1, "2 x 1 x AMD_MI300X_192GB, price not known"),
    ],
)
def test_cost_is_gpus_by_the_hour(gpu: str, count: int, told: str) -> None:
    """The cost of replicas is their GPUs' price, and never guessed."""
    found = state(acceleratorType=gpu, acceleratorCount=count)
    assert show.cost_text(found, 2) == told
    assert show.cost_text(found, 0) == "$0/h"


def test_create_is_the_documented_call() -> None:
    """The body of a create, its query and firectl's line are those of the documentation."""
    wanted = Wanted(
        base_model=OMNI,
        shape="accounts/fireworks/deploymentShapes/qwen3-omni-30b-a3b-instruct-minimal",
        min_replicas=1,
        max_replicas=2,
        scale_to_zero_window_s=300,
        preemptible=True,
    )
    call = calls.create(TARGET, wanted)
    assert call.path_and_query == "/v1/accounts/acme/deployments?deploymentId=omni"
    assert call.body == {
        "baseModel": OMNI,
        "deploymentShape": wanted.shape,
        "minReplicaCount": 1,
        "maxReplicaCount": 2,
        "placement": {"multiRegion": "GLOBAL"},
        "autoscalingPolicy": {"scaleToZeroWindow": "300s"},
        "preemptible": True,
    }
    assert call.firectl == (
        "firectl deployment create qwen3-omni-30b-a3b-instruct --deployment-id omni "
        "--account-id acme --min-replica-count 1 --max-replica-count 2 "
        "--deployment-shape qwen3-omni-30b-a3b-instruct-minimal "
        "--scale-to-zero-window 300s --region GLOBAL --preemptible"
    )
    assert not call.may_repeat


@pytest.mark.parametrize("region", ["us-iowa-1", "US_IOWA_1"])
def test_single_region_is_no_multi_region(region: str) -> None:
    """A region that is none of the four groups is sent as a single one."""
    body = Wanted(base_model=OMNI, region=region).body()
    assert body["placement"] == {"region": "US_IOWA_1"}


def test_scale_always_names_what_it_changes() -> None:
    """A PATCH without a mask replaces every setting, so there is none."""
    call = calls.rescale(TARGET, 0, 2)
    assert call.path_and_query == (
        "/v1/accounts/acme/deployments/omni?updateMask=min_replica_count,max_replica_count"
    )
    assert call.body == {"minReplicaCount": 0, "maxReplicaCount": 2}


@settings(max_examples=40)
@given(name=st.text(max_size=80))
def test_names_stay_in_their_path(name: str) -> None:
    """No account and no deployment id can reach another path, or add a query."""
    try:
        path = calls.get(Target(name, name)).path_and_query
    except ConfigError:
        return
    assert path == f"/v1/accounts/{name}/deployments/{name}"
    assert not set(name) & set("/?#:%. ")
