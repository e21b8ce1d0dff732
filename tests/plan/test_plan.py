"""Plans from a run whose truth is known: what is foretold, what is chosen, what is said."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captionfleet.plan.lines import read_lines, read_measured_run
from captionfleet.plan.model.ahead import prepared_ahead
from captionfleet.plan.model.fit import fit_run
from captionfleet.plan.model.predict import Fleet, Pricing, look_ahead, predict
from captionfleet.plan.model.reference import ClipFacts, Library, Reference
from captionfleet.plan.model.search import Limits, Verdict, make_plan
from tests.support.past_runs import PastRun

PRICING = Pricing(usd_per_gpu_hour=6.0)
RUN = PastRun()
HOUR_S = 3600.0


def learnt(folder: Path, run: PastRun = RUN) -> Reference:
    """The reference that a run makes."""
    run.write(folder)
    return fit_run("a run", read_measured_run(folder), read_lines(folder))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Two deployments of two captions a second, workers with half a second a clip."""
    return learnt(tmp_path_factory.mktemp("run"))


def test_other_fleets_take_as_long_as_their_slots_need(reference: Reference) -> None:
    """The time of other fleets is that of their slots or of their cores, whichever is longer."""
    library = Library.like(reference, 3000)
    for replicas, cores in ((1, 8), (4, 16), (2, 1), (6, 3)):
        told = predict(reference, library, Fleet(replicas, cores), PRICING)
        rate = min(replicas * RUN.rate, cores / RUN.prepare_s)
        assert told.seconds.expected == pytest.approx(3000 / rate, rel=0.06)
        assert told.seconds.low < told.seconds.expected < told.seconds.high
        limit = "cores" if cores / RUN.prepare_s < replicas * RUN.rate else "deployments"
        assert told.outlook.bottleneck == limit


def test_longer_clips_take_the_workers_longer_and_hold_more_tokens(reference: Reference) -> None:
    """A clip's length tells in worker time and tokens as it did in the reference."""
    clips = Library.like(reference, 1000, clip_seconds=10.0)
    told = predict(reference, clips, Fleet(2, 1), PRICING)
    assert told.seconds.expected == pytest.approx(1000 * RUN.prepare_s * 10 / 7, rel=0.06)
    assert told.prompt_tokens.expected == pytest.approx(1_000_000, rel=0.02)
    assert told.completion_tokens.expected == pytest.approx(50_000, rel=0.02)


def test_preparing_first_is_said_where_replicas_wait_for_cores(reference: Reference) -> None:
    """It saves what the replicas would wait; with cores enough there is nothing to save."""
    library = Library.like(reference, 3000)
    waiting = predict(reference, library, Fleet(2, 1), PRICING)
    ahead = prepared_ahead(reference, library, waiting, PRICING)
    assert ahead is not None
    assert ahead.prepare_s == pytest.approx(3000 * RUN.prepare_s, rel=0.06)
    assert ahead.sending.seconds.expected == pytest.approx(3000 / (2 * RUN.rate), rel=0.06)
    spared_s = 3000 * RUN.prepare_s - 3000 / (2 * RUN.rate)
    assert ahead.saved_usd == pytest.approx(PRICING.gpu_hours(2, spared_s) * 6.0, rel=0.1)
    busy = predict(reference, library, Fleet(2, 16), PRICING)
    assert prepared_ahead(reference, library, busy, PRICING) is None
    unknown = replace(reference, worker_time=None)
    assert prepared_ahead(unknown, library, waiting, PRICING) is None


fleets = st.builds(Fleet, st.integers(1, 6), st.integers(1, 12))


@settings(max_examples=10)
@given(fleets, st.integers(50, 600))
def test_more_is_never_slower_and_fewer_clips_never_take_longer(fleet: Fleet, clips: int) -> None:
    """One replica or core more, or fewer clips, do not lengthen a run, but for chance."""
    reference = _REFERENCES[0]
    library = Library.like(reference, clips)
    usual_s = look_ahead(reference, library, fleet, PRICING).seconds
    longest_s = 1.03 * usual_s + RUN.service_s
    for more in (Fleet(fleet.replicas + 1, fleet.cores), Fleet(fleet.replicas, fleet.cores + 1)):
        assert look_ahead(reference, library, more, PRICING).seconds <= longest_s
    fewer = Library.like(reference, clips // 2)
    assert look_ahead(reference, fewer, fleet, PRICING).seconds <= usual_s
    slow = look_ahead(reference, library, fleet, PRICING, 1.28)
    assert slow.seconds >= usual_s * 0.99


_REFERENCES: list[Reference] = []


@pytest.fixture(autouse=True)
def _for_properties(reference: Reference) -> None:
    _REFERENCES[:] = [reference]


@settings(max_examples=10)
@given(
    fleets,
    st.floats(0.0, 20.0),
    st.integers(1, 8),
    st.floats(0.0, 900.0),
)
def test_cost_is_what_is_billed(fleet: Fleet, price: float, gpus: int, cold_start_s: float) -> None:
    """Dollars are replicas times GPUs times hours of serving times price, at every end."""
    reference = _REFERENCES[0]
    pricing = Pricing(usd_per_gpu_hour=price, gpus_per_replica=gpus, cold_start_s=cold_start_s)
    told = predict(reference, Library.like(reference, 200), fleet, pricing)
    ends = zip(
        *(
            (value.low, value.expected, value.high)
            for value in (told.seconds, told.gpu_hours, told.usd)
        ),
        strict=True,
    )
    for seconds, gpu_hours, usd in ends:
        billed_s = max(0.0, seconds - cold_start_s)
        assert gpu_hours == pytest.approx(fleet.replicas * gpus * billed_s / HOUR_S)
        assert usd == pytest.approx(gpu_hours * price)
    assert told.seconds.low >= cold_start_s


def test_long_run_goes_on_at_the_rate_of_its_middle(reference: Reference) -> None:
    """Only the first clips are simulated, and the rest takes as long as the same number did."""
    fleet, library = Fleet(2, 8), Library.like(reference, 4000)
    whole = look_ahead(reference, library, fleet, PRICING)
    part = look_ahead(reference, library, fleet, PRICING, most_clips=1500)
    assert (whole.simulated_clips, part.simulated_clips) == (4000, 1500)
    assert part.seconds == pytest.approx(whole.seconds, rel=0.03)


def test_plan_for_a_deadline_is_the_smallest_that_meets_it(reference: Reference) -> None:
    """At the high end of its range the plan is in time, and with one replica fewer it is not."""
    library, within_s = Library.like(reference, 800), 96.0
    plan = make_plan(reference, library, Limits(within_s=within_s), PRICING)
    fleet = plan.chosen.fleet
    assert plan.verdict is Verdict.KEPT
    assert plan.chosen.seconds.high <= within_s * 1.02
    for cores in (fleet.cores, 1000):
        smaller = Fleet(fleet.replicas - 1, cores)
        assert predict(reference, library, smaller, PRICING).seconds.high > within_s * 0.98
    fewer_cores = Fleet(fleet.replicas, fleet.cores - 1)
    slower = predict(reference, library, fewer_cores, PRICING)
    assert slower.seconds.high > plan.chosen.seconds.high
    assert {one.fleet.replicas for one in plan.others} >= {fleet.replicas - 1, fleet.replicas + 1}


def test_plan_for_money_alone_is_fast_and_affordable(reference: Reference) -> None:
    """Without a deadline, money buys as many replicas as make the run faster, and no more."""
    library = Library.like(reference, 800)
    plan = make_plan(reference, library, Limits(max_usd=1.6, max_cores=8), PRICING)
    assert plan.verdict is Verdict.KEPT
    assert plan.chosen.usd.high <= 1.6 * 1.02
    assert plan.chosen.seconds.expected == pytest.approx(800 * RUN.prepare_s / 8, rel=0.15)
    assert plan.chosen.fleet.replicas < 12


@pytest.mark.parametrize(
    ("limits", "verdict", "binding"),
    [
        (Limits(within_s=16.0, max_replicas=3), Verdict.DEADLINE, "replicas"),
        (Limits(within_s=16.0, max_cores=4), Verdict.DEADLINE, "cores"),
        (Limits(within_s=80.0, max_usd=0.16), Verdict.MONEY, "budget"),
        (Limits(max_usd=0.08), Verdict.MONEY, "budget"),
        (Limits(within_s=80.0, replicas=1), Verdict.DEADLINE, "replicas"),
    ],
)
def test_what_cannot_be_done_is_said(
    reference: Reference, limits: Limits, verdict: Verdict, binding: str
) -> None:
    """Where no fleet keeps the limits, the plan names the one in the way."""
    plan = make_plan(reference, Library.like(reference, 800), limits, PRICING)
    assert plan.verdict is verdict
    assert binding in plan.binding
    assert plan.chosen.fleet.replicas <= (limits.max_replicas or limits.replicas or 256)
    assert plan.chosen.fleet.cores <= (limits.max_cores or math.inf)


@pytest.mark.parametrize(("ceiling", "said"), [(2, "max_in_flight"), (32, "bound")])
def test_deployment_that_was_never_full_makes_the_plan_a_bound(
    tmp_path: Path, ceiling: int, said: str
) -> None:
    """A replica is not counted on for more than was seen of it, and the reference says so."""
    idle = learnt(tmp_path, replace(RUN, in_flight=2, ceiling=ceiling))
    assert not idle.profiles[0].is_saturated
    assert any(said in note for note in idle.notes)
    told = predict(idle, Library.like(idle, 2000), Fleet(1, 50), PRICING)
    assert told.seconds.expected == pytest.approx(2000 / (2 / RUN.service_s), rel=0.06)


def test_codec_that_was_not_seen_costs_what_the_others_do(reference: Reference) -> None:
    """A codec without a measurement is given the mean of those that have one."""
    worker_time = reference.worker_time
    assert worker_time is not None
    known, strange = (ClipFacts(codec, 1280 * 720, 10.0) for codec in ("h264", "av1"))
    assert worker_time.of(strange) == pytest.approx(worker_time.of(known), rel=0.01)
    assert (worker_time.knows("h264"), worker_time.knows("av1")) == (True, False)


def test_fleet_whose_answers_all_come_too_late_is_never_done(reference: Reference) -> None:
    """Where no answer comes within the job's timeout, no plan is kept, and none takes long."""
    hopeless = replace(reference, timeout_s=0.1)
    limits = Limits(within_s=1000.0, max_replicas=4)
    plan = make_plan(hopeless, Library.like(hopeless, 300), limits, PRICING)
    assert plan.verdict is Verdict.DEADLINE
    assert plan.chosen.seconds.expected == math.inf


def test_a_start_that_takes_all_the_time_is_in_the_way(reference: Reference) -> None:
    """However long a start takes, a plan is soon there, and names it where it is too long."""
    library, day_s = Library.like(reference, 300), 86_400.0
    cold = replace(PRICING, cold_start_s=day_s)
    plan = make_plan(reference, library, Limits(within_s=3600.0, max_replicas=4), cold)
    assert plan.verdict is Verdict.DEADLINE
    assert "start" in plan.binding
    warm_s = predict(reference, library, plan.chosen.fleet, PRICING).seconds.expected
    assert plan.chosen.seconds.expected == pytest.approx(day_s + warm_s, abs=120)
