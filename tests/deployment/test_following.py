"""A deployment's ceiling follows its replicas, and is kept whatever happens on the way."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captionfleet.config import DeploymentConfig
from captionfleet.sender.fleet import Fleet
from captionfleet.sender.routing.limits import AdaptiveWindow, FixedWindow
from captionfleet.sender.routing.replicas import Lease, Replica
from captionfleet.sender.routing.router import Router
from captionfleet.sender.routing.verdict import classify
from captionfleet.telemetry import Tally
from tests.deployment.planes import ACCOUNT

EACH = 8

events = st.lists(
    st.one_of(
        st.tuples(st.just("follow"), st.integers(1, 6)),
        st.tuples(st.sampled_from(["caption", "refusal", "timeout"]), st.integers(1, 40)),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(events=events, is_adaptive=st.booleans())
def test_window_stays_below_a_ceiling_that_moves(
    events: list[tuple[str, int]], *, is_adaptive: bool
) -> None:
    """At every moment the window is at least 1, and at most what the replicas there are take."""
    window = AdaptiveWindow(EACH, now_s=0.0) if is_adaptive else FixedWindow(EACH)
    ceiling, now_s = EACH, 0.0
    for what, number in events:
        for _ in range(1 if what == "follow" else number):
            now_s += 0.1
            busy = window.size
            if what == "follow":
                ceiling = EACH * number
                window.follow(ceiling, now_s, in_flight=busy)
            elif what == "caption":
                window.succeeded(now_s, started_s=now_s - 1, in_flight=busy, level=busy)
            elif what == "refusal":
                window.refused(now_s, started_s=now_s - 1, in_flight=busy, level=busy)
            else:
                window.timed_out(now_s, started_s=now_s - 1, in_flight=busy, level=busy)
            assert 1 <= window.size <= ceiling
    times = [since_s for since_s, _ in window.history]
    assert times == sorted(times)
    assert all(a != b for (_, a), (_, b) in pairwise(window.history))


def test_window_grows_and_shrinks_with_its_replicas() -> None:
    """A window at its ceiling has the new one at once; back at the old one it is as before."""
    window = AdaptiveWindow(EACH, now_s=0.0)
    window.follow(3 * EACH, 1.0, in_flight=EACH)
    assert window.size == 3 * EACH
    window.follow(EACH, 2.0, in_flight=3 * EACH)
    assert window.size == EACH


def test_growth_is_found_out_again() -> None:
    """After growth a window that was held climbs again, as far as the rate rises with it."""
    window, now_s = AdaptiveWindow(64, now_s=0.0), 0.0
    for _ in range(2000):  # a server that gives 10 captions a second, whatever the window
        now_s += 0.1
        size = window.size
        window.succeeded(now_s, started_s=now_s - 1, in_flight=size, level=size)
    held = window.size
    assert held < 64
    window.follow(256, now_s, in_flight=held)
    for _ in range(2000):  # replicas that give a caption a second for each request in flight
        now_s += 1 / window.size
        size = window.size
        window.succeeded(now_s, started_s=now_s - 1, in_flight=size, level=size)
    assert window.size > 2 * held


@settings(max_examples=60)
@given(steps=st.lists(st.integers(0, 5), max_size=80))
def test_router_gives_no_more_than_the_ceiling(steps: list[int]) -> None:
    """However the ceiling moves, no lease is given above it, and none in flight is lost."""
    router = Router([Replica("a", FixedWindow(EACH))])
    leases: list[Lease] = []
    ceiling = EACH
    for number, step in enumerate(steps):
        now_s = float(number)
        if step:
            ceiling = EACH * step
            router.follow("a", ceiling, now_s=now_s)
        while (lease := router.lease(now_s)) is not None:
            assert len(leases) < ceiling
            leases.append(lease)
        assert router.in_flight == len(leases)
        for lease in leases[:3]:
            router.succeed(lease, now_s=now_s)
        del leases[:3]


def test_down_deployment_stays_down() -> None:
    """A ceiling that moves brings no deployment back that was ejected."""
    router = Router([Replica("a", FixedWindow(EACH))])
    router.take_down("a", classify(503, "DEPLOYMENT_SCALING_UP", {}), now_s=0.0)
    router.follow("a", 2 * EACH, now_s=0.0)
    assert router.lease(0.0) is None


PLAIN = f"accounts/{ACCOUNT}/deployments/omni"
FIREWORKS = "https://api.fireworks.ai/inference/v1"


@pytest.mark.parametrize(
    ("fields", "is_counted"),
    [
        ({"base_url": FIREWORKS, "model": PLAIN}, True),
        ({"base_url": FIREWORKS, "model": f"accounts/fireworks/models/m#{PLAIN}"}, True),
        ({"base_url": FIREWORKS, "model": "accounts/fireworks/models/glm"}, False),
        ({"base_url": FIREWORKS, "model": PLAIN, "count_replicas": False}, False),
        ({"base_url": "http://127.0.0.1:8000/v1", "model": PLAIN}, False),
        ({"base_url": "https://acme-1.direct.fireworks.ai/v1", "model": PLAIN}, False),
    ],
)
def test_only_what_has_a_control_plane_is_counted(
    fields: dict[str, object], *, is_counted: bool
) -> None:
    """Replicas are counted where account and deployment are known, and the service is."""
    deployment = DeploymentConfig.model_validate(fields)
    assert (deployment.counted_at is not None) is is_counted
    assert deployment.most_in_flight == (8 if is_counted else 1) * deployment.max_in_flight


@pytest.mark.anyio
async def test_ceiling_ends_where_connections_do() -> None:
    """However many replicas an autoscaler makes, no more is sent than there are connections for."""
    fields = {"base_url": FIREWORKS, "model": PLAIN, "adaptive": False, "max_in_flight": 4}
    deployment = DeploymentConfig.model_validate({"name": "d", **fields})
    fleet = Fleet((deployment,), {}, Tally())
    sizes = []
    for replicas in (0, 3, 20):
        fleet.follow("d", replicas)
        sizes.append(fleet.router.replicas["d"].window.size)
    assert sizes == [4, 12, deployment.most_in_flight]
