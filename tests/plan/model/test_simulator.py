"""Whole runs on a virtual clock, under whatever goes wrong: the sender's promises as properties."""

from collections.abc import Callable
from dataclasses import replace
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captionfleet.errors import FailureCode as C
from captionfleet.plan.model.server_model import DeploymentModel, Phase, SimulatedClip, Standing
from captionfleet.plan.model.simulator import Scenario, Simulator, simulate
from captionfleet.sender.routing.policy import lanes
from captionfleet.sender.routing.verdict import classify, judge

ERRORS = (
    classify(429, None, {}),
    classify(500, None, {}),
    classify(503, None, {}),
    classify(503, "DEPLOYMENT_SCALING_UP", {}),
    *(judge(code, "") for code in (C.DISCONNECTED, C.TIMEOUT, C.MALFORMED_ANSWER, C.EMPTY_CAPTION)),
)
LONGEST_PROBE_WAIT_S = 72.0
LONGEST_BACKOFF_S = 30.0

curves = st.sampled_from([((1, 0.2),), ((1, 2.0),), ((1, 1.0), (8, 4.0))])
phases = st.builds(
    Phase,
    standing=st.sampled_from(list(Standing)),
    slots=st.integers(1, 20),
    max_queue=st.integers(0, 40),
    curve=curves,
    spread=st.sampled_from([0.0, 0.3]),
    reports_queue=st.booleans(),
    error_share=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    errors=st.lists(st.sampled_from(ERRORS), min_size=1, max_size=4).map(tuple),
)


@st.composite
def faulty_deployment(draw: st.DrawFn, name: str) -> DeploymentModel:
    """A deployment that is up to five different things and in the end all right."""
    schedule, from_s = [], 0.0
    for phase in draw(st.lists(phases, max_size=5)):
        schedule.append(replace(phase, from_s=from_s))
        from_s += draw(st.sampled_from([0.5, 5.0, 40.0]))
    healthy = replace(draw(phases), standing=Standing.UP, error_share=0.0, from_s=from_s)
    return DeploymentModel(
        name=name,
        phases=(*schedule, healthy),
        max_in_flight=draw(st.integers(1, 40)),
        adaptive=draw(st.booleans()),
    )


scenarios = st.builds(
    Scenario,
    deployments=st.integers(1, 4).flatmap(
        lambda n: st.tuples(*(faulty_deployment(f"d{i}") for i in range(n)))
    ),
    clips=st.integers(1, 150),
    supply_per_s=st.sampled_from([None, 0.5, 5.0, 500.0]),
    timeout_s=st.sampled_from([10.0, 60.0]),
    max_attempts=st.sampled_from([3, 1000]),
    seed=st.integers(0, 1000),
)


def healthy_from_s(scenario: Scenario) -> float:
    return max(model.phases[-1].from_s for model in scenario.deployments)


@settings(max_examples=50, deadline=None)
@given(scenarios)
def test_every_clip_ends_once(scenario: Scenario) -> None:
    """Whatever goes wrong on the way, each clip ends, and ends once."""
    run = simulate(scenario)
    assert run.ends == b"\x01" * scenario.clips
    assert run.captioned + run.failed.total() == scenario.clips
    assert run.attempts >= scenario.clips


@settings(max_examples=50, deadline=None)
@given(scenarios)
def test_fleet_recovers_from_anything(scenario: Scenario) -> None:
    """Once the deployments are all right again, every clip is captioned in a reasonable time."""
    scenario = replace(scenario, max_attempts=1000)
    run = simulate(scenario)
    assert run.captioned == scenario.clips
    supply_s = scenario.clips / scenario.supply_per_s if scenario.supply_per_s else 0.0
    waits_s = LONGEST_PROBE_WAIT_S + LONGEST_BACKOFF_S + scenario.timeout_s
    one_by_one_s = 10 * scenario.clips
    assert run.seconds <= max(healthy_from_s(scenario), supply_s) + waits_s + one_by_one_s


@settings(max_examples=40, deadline=None)
@given(scenarios)
def test_limits_are_never_exceeded(scenario: Scenario) -> None:
    """No request goes out past a window, nor is a clip taken on past the lanes."""
    simulator = Simulator(scenario)
    replicas = simulator.router.replicas.values()
    most = lanes(sum(model.max_in_flight for model in scenario.deployments))
    while not simulator.is_over:
        before = {replica.name: replica.in_flight for replica in replicas}
        simulator.step()
        for replica in replicas:
            is_probing = int(not replica.is_up)
            assert replica.in_flight <= max(replica.window.size, before[replica.name]) + is_probing
        assert simulator.router.in_flight + len(simulator.line) <= most


@settings(max_examples=40, deadline=None)
@given(scenarios)
def test_nobody_starves(scenario: Scenario) -> None:
    """Nobody is overtaken but those who wait for another deployment than their last one."""
    simulator = Simulator(scenario)
    while not simulator.is_over:
        line = list(simulator.line)
        simulator.step()
        assert_in_turn(line, set(map(id, simulator.line)))


def assert_in_turn(line: list[SimulatedClip], still_waiting: set[int]) -> None:
    served = [id(clip) not in still_waiting for clip in line]
    last = max((index for index, is_served in enumerate(served) if is_served), default=0)
    assert all(
        is_served or clip.avoid for clip, is_served in zip(line[:last], served, strict=False)
    )


@given(scenarios)
@settings(max_examples=20, deadline=None)
def test_same_seed_same_run(scenario: Scenario) -> None:
    """A simulated run can be repeated exactly."""
    assert simulate(scenario) == simulate(scenario)


def fleet(*slots: int, max_in_flight: int = 64, **phase: object) -> tuple[DeploymentModel, ...]:
    return tuple(
        DeploymentModel(
            name=f"d{number}",
            phases=(Phase(slots=n, **phase),),  # type: ignore[arg-type] # fields of one phase
            max_in_flight=max_in_flight,
        )
        for number, n in enumerate(slots)
    )


def test_patience_ends_a_dead_fleet() -> None:
    """A fleet that never answers is given up after patience_s, and no clip fails for it."""
    dead = fleet(4, 4, standing=Standing.DOWN)
    run = simulate(Scenario(deployments=dead, clips=50, patience_s=600))
    assert 600 <= run.seconds <= 700
    assert (run.unfinished, run.captioned, run.failed.total()) == (50, 0, 0)


def test_refused_key_ends_a_run_within_seconds() -> None:
    """A fleet that refuses the key is given up after three answers from each deployment."""
    locked = fleet(4, 4, error_share=1.0, errors=(classify(401, None, {}),))
    run = simulate(Scenario(deployments=locked, clips=50))
    assert 2 < run.seconds < 5
    assert run.unfinished == 50


def test_cold_start_burns_no_attempt() -> None:
    """Clips that meet a deployment at zero replicas wait for it and are captioned."""
    cold = Phase(standing=Standing.SCALING_UP)
    asleep = DeploymentModel(name="d1", phases=(cold, Phase(from_s=300)))
    run = simulate(Scenario(deployments=(asleep,), clips=50, max_attempts=1))
    assert run.captioned == 50
    assert 300 <= run.seconds <= 300 + LONGEST_PROBE_WAIT_S + 10


def test_retries_keep_to_their_budget() -> None:
    """A fleet that spoils every answer is asked 50 times quickly again, then slowly."""
    spoilt = fleet(16, max_in_flight=16, error_share=1.0, errors=(judge(C.EMPTY_CAPTION, ""),))
    simulator = Simulator(Scenario(deployments=spoilt, clips=1000, max_attempts=100))
    while simulator.now_s < 15:
        attempts = simulator.result().attempts
        simulator.step()
    assert attempts == lanes(16) + 50


def test_supply_is_the_limit_or_the_fleet_is() -> None:
    """The slower of workers and fleet sets the pace, and the result says how busy each was."""
    twelve = fleet(8, 4, curve=((1, 2.0),))  # six a second
    slow = simulate(Scenario(deployments=twelve, clips=2000, supply_per_s=2.0))
    fast = simulate(Scenario(deployments=twelve, clips=2000, supply_per_s=20.0))
    assert slow.seconds == pytest.approx(2000 / 2, rel=0.01)
    assert slow.supply_busy > 0.99
    assert all(0.2 < use.utilisation < 0.5 for use in slow.deployments)
    assert fast.seconds == pytest.approx(2000 / 6, rel=0.05)
    assert fast.supply_busy == pytest.approx(6 / 20, rel=0.1)
    assert all(use.utilisation > 0.95 for use in fast.deployments)


def test_cost_of_a_clip_hardly_depends_on_the_fleet() -> None:
    """A thousand deployments cost little more per clip than ten: no search among them."""

    def cost_s(deployments: int) -> float:
        scenario = Scenario(deployments=fleet(*[8] * deployments, max_in_flight=8), clips=8000)
        started_s = process_time()
        assert simulate(scenario).captioned == 8000
        return process_time() - started_s

    # What else the machine does costs time too: the lesser of two counts.
    few_s, many_s = (min(cost_s(number) for _ in "ab") for number in (10, 1000))
    assert many_s < 4 * few_s


SERVERS: dict[str, Callable[[int], int]] = {  # how many requests may wait, by the slots
    "refuses": lambda _: 0,
    "queues, then refuses": lambda slots: slots // 2,
    "queues": lambda _: 1_000_000,
}


@pytest.mark.parametrize("spread", [0.0, 0.3])
@pytest.mark.parametrize("service_s", [0.2, 20.0])
@pytest.mark.parametrize("slots", [(16,), (4, 16, 64)])
@pytest.mark.parametrize("server", SERVERS)
def test_unknown_capacity_is_used(
    server: str, slots: tuple[int, ...], service_s: float, spread: float
) -> None:
    """After twenty rounds 0.9 of all slots are in use, and 2 % of the answers are refusals."""
    models = (
        DeploymentModel(
            name=str(n),
            phases=(
                Phase(
                    slots=n, max_queue=SERVERS[server](n), curve=((1, service_s),), spread=spread
                ),
            ),
            max_in_flight=128,
        )
        for n in slots
    )
    run = simulate(Scenario(deployments=tuple(models), clips=80 * sum(slots)))
    assert run.captions_per_s(20 * service_s, 75 * service_s) >= 0.9 * sum(slots) / service_s
    assert run.refused_share(20 * service_s) <= 0.02


@pytest.mark.parametrize("spread", [0.0, 0.3])
@pytest.mark.parametrize("service_s", [0.2, 20.0])
@pytest.mark.parametrize("server", SERVERS)
def test_halved_capacity_is_followed(server: str, service_s: float, spread: float) -> None:
    """When half of the slots go away, the others stay in use."""
    full = Phase(slots=16, max_queue=SERVERS[server](16), curve=((1, service_s),), spread=spread)
    half = replace(full, slots=8, max_queue=SERVERS[server](8), from_s=60 * service_s)
    model = DeploymentModel(name="d1", phases=(full, half), max_in_flight=128)
    run = simulate(Scenario(deployments=(model,), clips=60 * 16 + 80 * 8))
    assert run.captions_per_s(20 * service_s, 60 * service_s) >= 0.9 * 16 / service_s
    assert run.captions_per_s(65 * service_s, 130 * service_s) >= 0.9 * 8 / service_s
    assert run.refused_share(20 * service_s) <= 0.02


MIXED = tuple(error for error in ERRORS if error.code is not C.SCALING_UP)


@pytest.mark.parametrize("max_queue", [0, 64])
@pytest.mark.parametrize("share", [0.05, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_throughput_is_back_after_faults(seed: int, share: float, max_queue: int) -> None:
    """After a spell of bad answers and a deployment that died, 0.9 is reached in ten seconds."""
    good = Phase(max_queue=max_queue, curve=((1, 0.5),), spread=0.2)
    bad = replace(good, error_share=share, errors=MIXED, from_s=20)
    dead = replace(bad, standing=Standing.DOWN, from_s=30)
    again = replace(bad, from_s=35)
    healed = replace(good, from_s=50)
    steady = (good, bad, healed)
    models = [
        DeploymentModel(name=str(n), phases=schedule, max_in_flight=32)
        for n, schedule in enumerate([(good, bad, dead, again, healed), steady, steady])
    ]
    run = simulate(Scenario(deployments=tuple(models), clips=7000, max_attempts=20, seed=seed))
    capacity_per_s = 3 * 16 / 0.5
    assert run.captioned == 7000
    assert run.captions_per_s(60, 65) >= 0.9 * capacity_per_s
    assert run.captions_per_s(20, 50) >= (0.6 if share < 0.1 else 0.25) * capacity_per_s


def test_late_in_the_queue() -> None:
    """Each clip that gets no slot in time fails when its own time is over, and leaves its place."""
    (one,) = fleet(1, max_in_flight=3, curve=((1, 20.0),), max_queue=8)
    run = simulate(Scenario(deployments=(one,), clips=4, timeout_s=30.0, max_attempts=1))
    assert list(run.captions_s) == [20.0, 50.0]
    assert run.failed == {C.TIMEOUT: 2}
    assert run.seconds == 50.0
