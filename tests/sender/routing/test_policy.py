"""What follows for a clip when a request failed, and who is served next."""

from collections import deque
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.errors import FailureCode as C
from captionfleet.sender.routing.limits import FixedWindow
from captionfleet.sender.routing.policy import Again, Past, RetryPolicy, hand_out, lanes
from captionfleet.sender.routing.replicas import Change, Lease, Replica
from captionfleet.sender.routing.router import Router
from captionfleet.sender.routing.verdict import Verdict, classify, judge

LOST = judge(C.DISCONNECTED, "gone")


def fleet_of(*names: str, proven: str = "") -> Router:
    """Deployments with places; those named by a letter in `proven` have captioned a clip."""
    replicas = [Replica(name, FixedWindow(4)) for name in names or ("a",)]
    for replica in replicas:
        replica.captions = int(replica.name in proven)
    return Router(replicas)


def policy_of(max_attempts: int, router: Router | None = None) -> RetryPolicy:
    return RetryPolicy(max_attempts, router or fleet_of())


def maybe_failed(
    policy: RetryPolicy,
    verdict: Verdict,
    burnt: int = 0,
    *,
    is_probe: bool = False,
    past: Past | None = None,
) -> Again | None:
    lease = Lease("a", 0.0, is_probe)
    return policy.failed(lease, verdict, past or Past(burnt), jitter=0.5)


def failed(policy: RetryPolicy, verdict: Verdict, burnt: int = 0) -> Again:
    again = maybe_failed(policy, verdict, burnt)
    assert again is not None
    return again


def test_attempts_of_a_clip_are_bounded() -> None:
    """A clip whose request fails for the last time that it may is not asked again."""
    policy = policy_of(3)
    assert [failed(policy, LOST, burnt).past.burnt for burnt in (0, 1)] == [1, 2]
    assert maybe_failed(policy, LOST, burnt=2) is None
    assert [policy.may_burn(burnt) for burnt in range(4)] == [True, True, False, False]


def test_waits_grow_only_while_nothing_is_captioned() -> None:
    """Failures among captions are waited out within a second, an outage with ever longer waits."""
    policy = policy_of(99)
    assert failed(policy, LOST, burnt=7).wait_s == 0.5
    for _ in range(30):
        failed(policy, LOST)
    assert failed(policy, LOST, burnt=7).wait_s == 15.0
    for _ in range(30):
        policy.captioned()
    assert failed(policy, LOST, burnt=7).wait_s == 0.5


REJECTED, TOO_LARGE, DENIED = (classify(status, None, {}) for status in (400, 413, 403))


@pytest.mark.parametrize("proven", ["", "a"])
def test_rejected_clip_is_not_asked_again_of_the_only_deployment(proven: str) -> None:
    """What cannot succeed is not tried."""
    assert maybe_failed(policy_of(9, fleet_of("a", proven=proven)), REJECTED) is None


@pytest.mark.parametrize("verdict", [REJECTED, TOO_LARGE])
def test_rejected_clip_is_asked_once_elsewhere(verdict: Verdict) -> None:
    """A clip that a working deployment rejects goes to another once, and burns no attempt."""
    policy = policy_of(1, fleet_of("a", "b", proven="ab"))
    again = failed(policy, verdict)
    assert again.past == Past(0, was_rejected=True, avoid="a")
    assert maybe_failed(policy, verdict, past=again.past) is None


def test_rejected_clip_backs_off_before_it_goes_elsewhere() -> None:
    """A burst of rejections does not hit the other deployment at once, nor against its wish."""
    asked = replace(REJECTED, retry_after_s=7.0)
    policy = policy_of(1, fleet_of("a", "b", proven="ab"))
    assert failed(policy, REJECTED).wait_s == 0.25
    assert failed(policy, asked).wait_s == 7.25


def test_rejected_clip_does_not_wait_for_another_deployment() -> None:
    """While the only other deployment is down, a clip that a working one rejects has failed."""
    router = fleet_of("a", "b", proven="ab")
    router.take_down("b", LOST, now_s=0.0)
    assert maybe_failed(policy_of(9, router), REJECTED) is None


def test_one_that_never_captioned_is_no_judge_of_clips() -> None:
    """What a deployment without a caption rejects is asked elsewhere as often as it takes."""
    policy = policy_of(1, fleet_of("a", "b"))
    past = Past()
    for _ in range(5):
        again = maybe_failed(policy, REJECTED, past=past)
        assert again is not None
        past = again.past
    assert past == Past(0, avoid="a")


def test_clip_that_a_firewall_denies_fails_in_the_end() -> None:
    """A 403 is excused once, and then burns attempts where the deployment is up."""
    policy, past, requests = policy_of(3, fleet_of("a", proven="a")), Past(), 1
    while (again := maybe_failed(policy, DENIED, past=past)) is not None:
        past, requests = again.past, requests + 1
        assert requests < 10
    assert requests == 4


@pytest.mark.parametrize(
    "verdict", [classify(503, "DEPLOYMENT_SCALING_UP", {}), classify(401, None, {})]
)
def test_deployment_that_is_not_there_burns_no_attempt(verdict: Verdict) -> None:
    """A cold start, or a first refusal of the key, costs a clip nothing."""
    assert failed(policy_of(1), verdict).past.burnt == 0


@pytest.mark.parametrize(
    "verdict", [judge(C.CONNECT_FAILED, ""), classify(429, None, {}), classify(503, None, {})]
)
def test_probe_that_is_not_taken_burns_no_attempt(verdict: Verdict) -> None:
    """While a deployment is down, a clip that it takes nothing of has only waited."""
    for verdict_, burnt in ((verdict, 0), (LOST, 1)):
        again = maybe_failed(policy_of(2), verdict_, is_probe=True)
        assert again is not None
        assert again.past.burnt == burnt
    assert maybe_failed(policy_of(1), verdict) is None


def test_quick_retries_run_out() -> None:
    """When the budget is spent, a failed clip waits 15 s at least; captions earn it back."""
    policy = policy_of(100)
    waits_s = [failed(policy, LOST).wait_s for _ in range(60)]
    assert [wait_s < 1 for wait_s in waits_s] == [True] * 50 + [False] * 10
    assert min(waits_s[50:]) >= 15
    for _ in range(2):
        policy.captioned()
    assert failed(policy, LOST).wait_s < 1


def test_overload_costs_no_budget() -> None:
    """429s while the window is being found leave the quick retries to real failures."""
    policy = policy_of(100)
    for _ in range(200):
        assert failed(policy, classify(429, None, {})).wait_s < 1
    assert failed(policy, LOST).wait_s < 1


def test_server_may_ask_for_a_wait() -> None:
    """Retry-After is waited for, whatever the budget says."""
    asked = replace(classify(429, None, {}), retry_after_s=7.0)
    assert 7.0 <= failed(policy_of(5), asked).wait_s < 8.0


@dataclass
class Clip:
    """Someone in the line."""

    name: str
    avoid: str | None = None


def test_first_come_first_served() -> None:
    """Places go to the front of the line, and the rest stays in order."""
    line = deque(Clip(name) for name in "abcd")
    router = Router([Replica("one", FixedWindow(2)), Replica("two", FixedWindow(1))])
    assert [clip.name for clip, _ in hand_out(line, router, 0.0)] == ["a", "b", "c"]
    assert [clip.name for clip in line] == ["d"]
    assert hand_out(line, router, 0.0) == []


def test_who_waits_for_another_deployment_lets_others_pass() -> None:
    """A clip that failed at the only deployment with room keeps its turn for another."""
    line = deque([Clip("a", avoid="one"), Clip("b"), Clip("c", avoid="one"), Clip("d")])
    router = Router([Replica("one", FixedWindow(2)), Replica("two", FixedWindow(1))])
    (busy,) = hand_out(deque([Clip("x", avoid="one")]), router, 0.0)
    assert [clip.name for clip, _ in hand_out(line, router, 0.0)] == ["b", "d"]
    router.succeed(busy[1], now_s=1.0)
    assert [clip.name for clip, _ in hand_out(line, router, 1.0)] == ["a"]
    assert [clip.name for clip in line] == ["c"]


@pytest.mark.parametrize(("places", "expected"), [(1, 5), (32, 40), (1000, 1250)])
def test_spare_lanes_for_clips_that_back_off(places: int, expected: int) -> None:
    """A quarter more clips than places are taken on, and four more at least."""
    assert lanes(places) == expected


def test_who_is_passed_over_keeps_the_turn() -> None:
    """Clips that wait for another deployment stay before those that came later."""
    line = deque([Clip("a", avoid="one"), Clip("b", avoid="one"), Clip("c"), Clip("d")])
    router = Router([Replica("one", FixedWindow(1)), Replica("two", FixedWindow(1))])
    (busy,) = hand_out(deque([Clip("x", avoid="one")]), router, 0.0)
    assert [clip.name for clip, _ in hand_out(line, router, 0.0)] == ["c"]
    assert [clip.name for clip in line] == ["a", "b", "d"]
    router.succeed(busy[1], now_s=1.0)
    assert [clip.name for clip, _ in hand_out(line, router, 1.0)] == ["a"]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3), st.booleans()), max_size=4),
    st.lists(st.sampled_from([None, "0", "1", "2", "3"]), max_size=12),
)
def test_each_in_turn_is_offered_a_place(
    fleet: list[tuple[int, int, bool]], avoided: list[str | None]
) -> None:
    """Waiting clips get the leases that the router gives to each in turn, in no other order."""
    offered, handing_out = (Router(replicas_of(fleet)) for _ in range(2))
    line = deque(Clip(str(number), avoid) for number, avoid in enumerate(avoided))
    expected = [(clip.name, offered.lease(1.0, avoid=clip.avoid)) for clip in line]
    served = [(clip.name, lease.deployment) for clip, lease in hand_out(line, handing_out, 1.0)]
    assert served == [(name, lease.deployment) for name, lease in expected if lease]
    assert [clip.name for clip in line] == [name for name, lease in expected if lease is None]


def replicas_of(fleet: list[tuple[int, int, bool]]) -> list[Replica]:
    """Deployments by the size of the window, the requests in flight, and whether one is down."""
    replicas = []
    for number, (size, in_flight, is_down) in enumerate(fleet):
        replica = Replica(str(number), FixedWindow(size))
        for _ in range(min(size, in_flight)):
            replica.begin(0.0)
        if is_down:
            replica.take_down(Change.EJECTED, LOST, now_s=-2.0, jitter=0.5)
        replicas.append(replica)
    return replicas
