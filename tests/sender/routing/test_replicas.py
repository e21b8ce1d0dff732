"""Which deployment gets the next request: a state machine against a simulated clock."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from captionfleet.errors import FailureCode
from captionfleet.sender.routing.limits import AdaptiveWindow, FixedWindow
from captionfleet.sender.routing.replicas import Change, Lease, Replica
from captionfleet.sender.routing.router import Router
from captionfleet.sender.routing.verdict import Verdict, classify, judge

LOST = judge(FailureCode.DISCONNECTED, "gone")
BUSY = classify(429, None, {})
SCALING = classify(503, "DEPLOYMENT_SCALING_UP", {})
REJECTED = classify(400, None, {})
UNKNOWN = classify(404, None, {})
CHANGED = judge(FailureCode.SOURCE_CHANGED, "x")


def router(*names: str, window: int = 4) -> Router:
    return Router([Replica(name, FixedWindow(window)) for name in names or ("a",)])


def leased(router: Router, now_s: float = 0.0, avoid: str | None = None) -> Lease:
    lease = router.lease(now_s, avoid=avoid)
    assert lease is not None
    return lease


def fail(router: Router, verdict: Verdict, now_s: float = 0.0, times: int = 1) -> Change | None:
    change = None
    for _ in range(times):
        change = router.fail(leased(router, now_s), verdict, now_s=now_s, jitter=0.5)
    return change


class Routing(RuleBasedStateMachine):
    """Three deployments under arbitrary leases, ends and passing time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.replicas = [
            Replica("a", FixedWindow(1)),
            Replica("b", AdaptiveWindow(16, now_s=0.0)),
            Replica("c", FixedWindow(3)),
        ]
        self.router = Router(self.replicas)
        self.leases: list[Lease] = []

    @rule(avoid=st.sampled_from([None, "a", "b", "c"]))
    def take(self, avoid: str | None) -> None:
        """A request goes to a deployment that may take it, and to none only if none may."""
        others = [r for r in self.replicas if r.name != avoid]
        allowed = others if any(r.is_up for r in others) else self.replicas
        had_room = [r for r in allowed if r.has_room]
        due = [r for r in allowed if r.is_probeable and r.due_s <= self.now_s]
        least_loaded = min(
            ((r.in_flight / r.window.size, r.requests, r.name) for r in had_room), default=("",)
        )[-1]
        lease = self.router.lease(self.now_s, avoid=avoid)
        assert (lease is None) == (not had_room and not due)
        if lease is None:
            return
        self.leases.append(lease)
        chosen = self.router.replicas[lease.deployment]
        assert chosen in had_room + due
        assert lease.is_probe == (chosen in due)
        assert lease.is_probe == bool(due and (avoid is None or not had_room))
        if not lease.is_probe:
            assert lease.deployment == least_loaded
        if chosen.is_up:
            assert chosen.in_flight <= chosen.window.size

    @rule(other=st.sampled_from(["a", "b", "c"]))
    def take_besides(self, other: str) -> None:
        """A second request goes elsewhere, where there is room, and is never a probe."""
        had_room = {r.name for r in self.replicas if r.has_room} - {other}
        lease = self.router.lease_besides(other, self.now_s)
        assert (lease is None) == (not had_room)
        if lease is not None:
            assert lease.deployment in had_room
            assert not lease.is_probe
            self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        """A caption brings its deployment back."""
        lease = self._drawn(data)
        self.router.succeed(lease, now_s=self.now_s)
        replica = self.router.replicas[lease.deployment]
        assert replica.is_up or replica.is_out

    @precondition(lambda self: self.leases)
    @rule(
        data=st.data(),
        verdict=st.sampled_from([LOST, BUSY, SCALING, REJECTED, UNKNOWN, CHANGED]),
        jitter=st.floats(0, 0.99),
    )
    def fail(self, data: st.DataObject, verdict: Verdict, jitter: float) -> None:
        """A request fails in any way."""
        self.router.fail(self._drawn(data), verdict, now_s=self.now_s, jitter=jitter)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        """A request is cancelled."""
        self.router.abandon(self._drawn(data))

    @rule(seconds=st.floats(0, 90))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now_s += seconds

    @precondition(lambda self: not self.leases and not self.router.all_out)
    @rule()
    def starve(self) -> None:
        """With nothing in flight, the time that the router names brings a request."""
        if self.router.why_waiting(self.now_s):
            due_s = self.router.next_due_s()
            assert due_s is not None
            assert due_s - self.now_s <= 72.0
            self.now_s = max(self.now_s, due_s)
        self.leases.append(leased(self.router, self.now_s))

    def _drawn(self, data: st.DataObject) -> Lease:
        return self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))

    @invariant()
    def counts_add_up(self) -> None:
        """Each lease is counted once, and a deployment that is down has one probe at most."""
        for replica in self.replicas:
            mine = [lease for lease in self.leases if lease.deployment == replica.name]
            assert replica.in_flight == len(mine)
            if not replica.is_up:
                assert sum(lease.is_probe for lease in mine) <= 1 or replica.is_out

    @invariant()
    def downtime_is_known(self) -> None:
        """It is known since when nothing is up, and there is a reason to tell."""
        is_down = not any(replica.is_up for replica in self.replicas)
        assert (self.router.down_since_s is not None) == is_down
        assert bool(self.router.why_waiting(self.now_s)) == (is_down and not self.router.all_out)


Routing.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_routing_keeps_its_promises = Routing.TestCase


def test_least_loaded_for_its_window_goes_first() -> None:
    """A deployment with a window three times as large gets three times as many requests."""
    fleet = Router([Replica("small", FixedWindow(4)), Replica("large", FixedWindow(12))])
    names = [leased(fleet).deployment for _ in range(16)]
    assert (names.count("small"), names.count("large")) == (4, 12)
    assert fleet.lease(0.0) is None


def test_idle_deployments_take_turns() -> None:
    """Among equally loaded deployments the one with the fewest requests so far goes first."""
    fleet, names = router("a", "b", "c"), []
    for _ in range(9):
        lease = leased(fleet)
        names.append(lease.deployment)
        fleet.succeed(lease, now_s=0.0)
    assert all(names.count(name) == 3 for name in "abc")


def test_failed_deployment_is_avoided_while_another_is_up() -> None:
    """The next attempt of a clip goes elsewhere, unless no other deployment is up."""
    fleet = router("a", "b", window=1)
    assert leased(fleet, avoid="a").deployment == "b"
    assert fleet.lease(0.0, avoid="a") is None
    fleet.take_down("b", LOST, now_s=0.0)
    assert leased(fleet, avoid="a").deployment == "a"


def test_five_failures_in_a_row_eject() -> None:
    """Five blamed failures without an answer between eject, four do not."""
    fleet = router()
    assert fail(fleet, LOST, times=4) is None
    fleet.succeed(leased(fleet), now_s=0.0)
    assert fail(fleet, LOST, times=4) is None
    assert fail(fleet, LOST) is Change.EJECTED
    assert fleet.lease(0.7) is None
    assert fleet.replicas["a"].ejections == 1


def test_ejection_doubles_up_to_a_minute() -> None:
    """Each failed probe doubles the wait, from 1 s to at most 60 s."""
    fleet = router()
    fail(fleet, LOST, times=5)
    now_s, waits = 0.0, []
    for _ in range(8):
        due_s = fleet.next_due_s()
        assert due_s is not None
        waits.append(round(due_s - now_s, 6))
        now_s = due_s
        fail(fleet, LOST, now_s)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_one_probe_decides() -> None:
    """A due deployment gets one request; its answer re-admits, and no second goes before."""
    fleet = router()
    fail(fleet, LOST, times=5)
    probe = leased(fleet, 2.0)
    assert probe.is_probe
    assert fleet.lease(2.0) is None
    assert fleet.succeed(probe, now_s=3.0) is Change.READMITTED
    assert leased(fleet, 3.0).is_probe is False


def test_any_answer_readmits() -> None:
    """A rejected clip is an answer too: the deployment is there."""
    fleet = router()
    fail(fleet, LOST, times=5)
    assert fail(fleet, REJECTED, 2.0) is Change.READMITTED


def test_broken_clip_tells_nothing_about_the_probe() -> None:
    """A probe whose media changed on disk neither re-admits nor ejects for longer."""
    fleet = router()
    fail(fleet, LOST, times=5)
    assert fail(fleet, CHANGED, 2.0) is None
    assert leased(fleet, 2.0).is_probe


def test_saturation_waits_without_an_ejection() -> None:
    """A deployment that refuses everything is left alone for a while, and is not blamed."""
    fleet = router(window=8)
    leases = [leased(fleet) for _ in range(8)]
    changes = [fleet.fail(lease, BUSY, now_s=0.0, jitter=0.5) for lease in leases[:5]]
    assert changes == [None] * 4 + [Change.SATURATED]
    assert fleet.replicas["a"].ejections == 0
    assert "a saturated (HTTP 429; next try in 1 s)" in fleet.why_waiting(0.0)


def test_saturated_deployment_is_asked_four_times_a_minute() -> None:
    """A deployment that others keep full is never left alone for longer than 15 s."""
    fleet = router()
    now_s, waits = 0.0, []
    for _ in range(6):
        fail(fleet, BUSY, now_s)
        due_s = fleet.next_due_s()
        assert due_s is not None
        waits.append(round(due_s - now_s, 6))
        now_s = due_s
    assert waits == [1, 2, 4, 8, 15, 15]


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [(BUSY, Change.SATURATED), (judge(FailureCode.CONNECT_FAILED, ""), Change.EJECTED)],
)
def test_who_takes_not_even_the_only_request_is_down(verdict: Verdict, expected: Change) -> None:
    """A refusal with nothing else in flight is no matter of load; with others it is one of five."""
    fleet = router()
    one, other = leased(fleet), leased(fleet)
    assert fleet.fail(one, verdict, now_s=0.0, jitter=0.5) is None
    assert fleet.fail(other, verdict, now_s=0.0, jitter=0.5) is expected


def test_retry_after_is_a_floor_for_the_probe() -> None:
    """A saturated deployment is not probed before the time that it asked for."""
    fleet = router()
    fail(fleet, classify(429, None, {"retry-after": "30"}))
    assert fleet.next_due_s() == 30.0


def test_scaling_up_is_probed_soon_after_it_serves() -> None:
    """Probes of a deployment that scales up come at most 5 % of its time too late, and 30 s."""
    fleet = router()
    assert fail(fleet, SCALING) is Change.SCALING_UP
    now_s, waits = 0.0, []
    while now_s < 3600:
        due_s = fleet.next_due_s()
        assert due_s is not None
        waits.append(due_s - now_s)
        assert waits[-1] <= 2.0 + 0.05 * now_s + 1e-6
        now_s = due_s
        fail(fleet, SCALING, now_s)
    assert (waits[0], round(max(waits), 6)) == (2.0, 30.0)
    assert len(waits) < 180


def test_lone_scaling_up_takes_no_deployment_down_that_captions() -> None:
    """A gateway that says so of one request leaves it its others; three in a row are believed."""
    fleet = router(window=8)
    fleet.succeed(leased(fleet, 0.0), now_s=1.0)
    out = [leased(fleet, 1.0) for _ in range(5)]
    changes = [fleet.fail(lease, SCALING, now_s=1.1, jitter=0.5) for lease in out[:2]]
    assert changes == [None, None]
    fleet.succeed(out[2], now_s=1.2)
    assert fleet.replicas["a"].is_up
    again = [leased(fleet, 1.3) for _ in range(3)]
    assert [fleet.fail(lease, SCALING, now_s=1.4, jitter=0.5) for lease in again][2] is (
        Change.SCALING_UP
    )


def probed(router: Router, verdict: Verdict, name: str = "a") -> list[float]:
    """Probe a deployment that refuses until it is out; when each probe went out."""
    times_s = []
    while not router.replicas[name].is_out:
        due_s = router.next_due_s()
        assert due_s is not None
        assert len(times_s) < 100
        times_s.append(due_s)
        fail(router, verdict, due_s)
    return times_s


@pytest.mark.parametrize("status", [401, 402, 403, 404, 307, 308])
def test_wrong_key_is_final_within_seconds(status: int) -> None:
    """A new deployment that refuses for good is down at once and out after two probes."""
    fleet, refused = router("a"), classify(status, None, {})
    assert fail(fleet, refused) is Change.REFUSING
    assert fleet.lease(0.5) is None
    assert probed(fleet, refused) == [1.0, 3.0]
    assert fleet.all_out
    assert fleet.lease(1e9) is None
    assert fleet.next_due_s() is None


@pytest.mark.parametrize("status", [401, 402, 403, 404, 307, 308])
@pytest.mark.parametrize("is_new", [True, False])
def test_hiccup_with_many_in_flight_puts_nothing_out(status: int, *, is_new: bool) -> None:
    """However many requests are refused in a third of a second, the next probe brings it back."""
    fleet, refused = router(window=64), classify(status, None, {})
    if not is_new:
        fleet.succeed(leased(fleet), now_s=0.0)
    leases = [leased(fleet) for _ in range(64)]
    for number, lease in enumerate(leases):
        fleet.fail(lease, refused, now_s=0.3 * number / 64, jitter=0.5)
    assert fleet.replicas["a"].down is Change.REFUSING
    assert not fleet.is_hopeless(0.3, patience_s=1800)
    due_s = fleet.next_due_s()
    assert due_s is not None
    assert fleet.succeed(leased(fleet, due_s), now_s=2.0) is Change.READMITTED


def test_single_refusal_after_captions_is_a_hiccup() -> None:
    """A deployment that gave captions is down after three refusals in a row, not after one."""
    fleet = router()
    fleet.succeed(leased(fleet), now_s=0.0)
    assert fail(fleet, UNKNOWN, times=2) is None
    fleet.succeed(leased(fleet), now_s=0.0)
    assert fail(fleet, UNKNOWN, times=2) is None
    assert fail(fleet, UNKNOWN) is Change.REFUSING


def test_key_that_is_withdrawn_is_noticed_after_a_minute() -> None:
    """A deployment that captioned is out once it has refused for a minute, without a storm."""
    fleet = router()
    fleet.succeed(leased(fleet), now_s=0.0)
    fail(fleet, UNKNOWN, times=3)
    times_s = probed(fleet, UNKNOWN)
    assert 60 <= times_s[-1] <= 70
    assert len(times_s) <= 10


def test_deployment_that_rejects_every_clip_is_out_after_a_handful() -> None:
    """One that never captioned is down after three rejections, out after ten over seconds."""
    fleet = router("a", window=8)
    for lease in [leased(fleet) for _ in range(8)]:
        fleet.fail(lease, REJECTED, now_s=0.0, jitter=0.5)
    assert fleet.replicas["a"].down is Change.REFUSING
    assert probed(fleet, REJECTED) == [1.0, 3.0]
    assert fleet.replicas["a"].requests == 10


def test_deployment_that_captions_may_reject_clips() -> None:
    """Rejections between captions change nothing; ten in a row are probed, and never final."""
    fleet = router()
    fleet.succeed(leased(fleet), now_s=0.0)
    for _ in range(5):
        assert fail(fleet, REJECTED, times=9) is None
        fleet.succeed(leased(fleet), now_s=0.0)
    assert fail(fleet, REJECTED, times=10) is Change.REFUSING
    for _ in range(50):
        due_s = fleet.next_due_s()
        assert due_s is not None
        assert fail(fleet, REJECTED, due_s) is Change.REFUSING
    assert fleet.down_since_s == 0.0


def test_held_deployment_is_waited_for() -> None:
    """What is still to be brought up gets no request, no ejection, and costs no patience."""
    fleet = router("a", "b")
    fleet.hold("b")
    fleet.take_down("b", LOST, now_s=0.0)
    leases = [leased(fleet) for _ in range(4)]
    assert {lease.deployment for lease in leases} == {"a"}
    assert fleet.lease(0.0) is None
    for lease in leases:
        fleet.abandon(lease)
    fleet.take_down("a", LOST, now_s=0.0)
    assert not fleet.is_hopeless(1e6, patience_s=1.0)
    fleet.release("b", now_s=0.5)
    assert leased(fleet, 0.5).deployment == "b"


def test_held_deployment_that_is_given_up_is_out() -> None:
    """What cannot be brought up is counted on no more."""
    fleet = router("a", "b")
    fleet.hold("b")
    fleet.take_down("a", LOST, now_s=0.0)
    assert fleet.down_since_s is None
    fleet.give_up("b", SCALING, now_s=2.0)
    assert (fleet.down_since_s, fleet.replicas["b"].is_out, fleet.all_out) == (2.0, True, False)
    assert fleet.is_hopeless(4.0, patience_s=1.0)


def test_refusals_while_it_wakes_up_are_waited_for() -> None:
    """A deployment that scales up knows its name: a 404 on the way is final after a minute."""
    fleet = router()
    fail(fleet, SCALING)
    assert fail(fleet, UNKNOWN, 6.0) is Change.SCALING_UP
    assert fleet.next_due_s() == pytest.approx(8.1)
    fleet.succeed(leased(fleet, 14.0), now_s=15.0)
    fail(fleet, SCALING, 16.0)
    changes = [fail(fleet, UNKNOWN, now_s) for now_s in (30.0, 60.0, 90.0)]
    assert changes == [Change.SCALING_UP, Change.SCALING_UP, Change.OUT]


@pytest.mark.parametrize("verdict", [LOST, BUSY])
def test_stragglers_do_not_lengthen_the_wait(verdict: Verdict) -> None:
    """Requests that were out when a deployment went down do not count against its probe."""
    fleet = router(window=8)
    leases = [leased(fleet) for _ in range(8)]
    for lease in leases:
        fleet.fail(lease, verdict, now_s=0.0, jitter=0.5)
    assert fleet.next_due_s() == 1.0


def test_straggling_caption_readmits() -> None:
    """A caption that arrives from an ejected deployment shows that it is alive."""
    fleet = router(window=6)
    straggler, *others = [leased(fleet) for _ in range(6)]
    for lease in others:
        fleet.fail(lease, LOST, now_s=0.0, jitter=0.5)
    assert fleet.down_since_s == 0.0
    assert fleet.succeed(straggler, now_s=0.5) is Change.READMITTED
    assert fleet.down_since_s is None


def test_all_down_names_each_and_the_time() -> None:
    """While no deployment is up, the reason names each of them, its trouble and its next try."""
    fleet = router("a", "b")
    fleet.take_down("a", LOST, now_s=0.0)
    assert fleet.why_waiting(0.0) == ""
    fleet.take_down("b", SCALING, now_s=0.0)
    assert fleet.why_waiting(0.0) == (
        "a ejected (gone; next try in 1 s); "
        "b ejected (HTTP 503 DEPLOYMENT_SCALING_UP; next try in 1 s)"
    )


def test_connection_found_closed_neither_blames_nor_readmits() -> None:
    """What came of a pooled connection that the server had closed tells nothing."""
    fleet, stale = router(), replace(LOST, stale=True)
    assert fail(fleet, stale, times=20) is None
    fail(fleet, LOST, times=5)
    assert fail(fleet, stale, 2.0) is None
    assert leased(fleet, 2.0).is_probe


def test_all_out_is_hopeless_without_patience() -> None:
    """Once every deployment is out, nothing is waited for."""
    fleet = router()
    fail(fleet, UNKNOWN)
    assert not fleet.is_hopeless(2.0, patience_s=1800)
    last_s = probed(fleet, UNKNOWN)[-1]
    assert fleet.is_hopeless(last_s, patience_s=1800)


def test_failed_probe_costs_the_window_nothing() -> None:
    """A window that was found is there again when the deployment is, however long it was down."""
    fleet = Router([Replica("a", AdaptiveWindow(8, now_s=0.0))])
    absent = judge(FailureCode.CONNECT_FAILED, "")
    fleet.take_down("a", absent, now_s=0.0)
    for now_s in (10.0, 100.0, 200.0, 300.0):
        fail(fleet, absent, now_s)
    assert fleet.replicas["a"].window.size == 8


def test_clip_that_failed_probes_only_where_none_has_room() -> None:
    """A due probe is for a clip that has not failed yet."""
    fleet = router("a", "b", "c")
    fleet.take_down("c", LOST, now_s=0.0)
    assert leased(fleet, 5.0, avoid="a").deployment == "b"
    assert leased(fleet, 5.0).deployment == "c"


def test_straggler_lets_no_second_probe_out() -> None:
    """A request from before an ejection that ends meanwhile is not the probe."""
    fleet = router(window=8)
    straggler, *others = [leased(fleet) for _ in range(6)]
    for lease in others:
        fleet.fail(lease, LOST, now_s=0.0, jitter=0.5)
    assert leased(fleet, 2.0).is_probe
    fleet.fail(straggler, LOST, now_s=2.5, jitter=0.5)
    assert fleet.lease(60.0) is None
