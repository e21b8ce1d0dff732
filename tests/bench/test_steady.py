"""What of a load counts, and the figures drawn from it."""

import math
import random
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.bench.figures.point import ClientUse, Goal, measure
from captionfleet.bench.figures.samples import Sample
from captionfleet.bench.figures.steady import (
    Window,
    ended_per_s,
    half_width,
    is_queue_growing,
    rate_per_s,
    steady_window,
    truncation,
)
from captionfleet.errors import FailureCode

IDLE = ClientUse(cores=0.1, loop_lag_p50_s=0.0, loop_lag_p99_s=0.001)


def closed_loop(in_flight: int, request_s: float, until_s: float) -> list[Sample]:
    """Lanes that ask again at once, all begun together: waves."""
    waves = math.ceil(until_s / request_s)
    return [
        Sample(
            started_s=wave * request_s,
            ended_s=(wave + 1) * request_s,
            prompt_tokens=100,
            completion_tokens=10,
            clip_s=60.0,
            replica=f"r{lane % 2}",
        )
        for wave in range(waves)
        for lane in range(in_flight)
    ]


@given(
    in_flight=st.integers(1, 20),
    request_s=st.floats(0.1, 10),
    from_s=st.floats(0, 20),
    seconds=st.floats(0.5, 40),
)
def test_rate_is_littles_law(
    in_flight: int, request_s: float, from_s: float, seconds: float
) -> None:
    """Whatever part of a steady load is looked at, its rate is requests in flight by their time."""
    samples = closed_loop(in_flight, request_s, 80.0)
    rate = rate_per_s(samples, from_s, from_s + seconds)
    assert rate == pytest.approx(in_flight / request_s, rel=1e-6)


def test_slow_start_is_cut_off() -> None:
    """Requests that took longer while the server warmed up do not count."""
    values = [10.0 - n for n in range(8)] + [2.0, 2.1, 1.9, 2.0] * 20
    assert 5 <= truncation(values) <= 15


@given(values=st.lists(st.floats(0.1, 100), max_size=200))
def test_at_most_half_is_cut_off(values: list[float]) -> None:
    """However odd a series is, half of it stays."""
    assert 0 <= truncation(values) <= len(values) / 2 + 5


def test_rate_that_falls_is_not_steady() -> None:
    """A load whose second half went slower is said to be unsteady."""
    fast = closed_loop(4, 0.5, 40.0)
    slow = [
        Sample(started_s=40 + 2.0 * n, ended_s=42 + 2.0 * n) for n in range(20) for _ in range(4)
    ]
    assert steady_window(fast, ramp=4, to_s=40.0).is_steady
    assert not steady_window(fast + slow, ramp=4, to_s=80.0).is_steady


def test_first_wave_is_no_part() -> None:
    """The requests of the ramp are left out even if they look like the others."""
    assert steady_window(closed_loop(4, 1.0, 20.0), ramp=4, to_s=20.0).from_s >= 1.0


def test_figures_of_a_load() -> None:
    """Rates, tokens, hours and replicas are those of the load."""
    point = measure(
        closed_loop(4, 2.0, 40.0), Window(10.0, 30.0, is_steady=True), IDLE, begun_s=0.0,
        in_flight=4, goal=Goal(request_s=1.9),
    )  # fmt: skip
    assert point.clips_per_s == pytest.approx(2.0)
    assert point.mean_in_flight == pytest.approx(4.0)
    assert point.prompt_tokens_per_s == pytest.approx(200.0)
    assert point.completion_tokens_per_s == pytest.approx(20.0)
    assert point.source_hours_per_hour == pytest.approx(120.0)
    several = measure(
        closed_loop(4, 2.0, 40.0), Window(10.0, 30.0, is_steady=True), IDLE, begun_s=0.0,
        in_flight=4, per_clip=3,
    )  # fmt: skip
    assert several.source_hours_per_hour == pytest.approx(40.0)
    assert point.goodput_per_s == 0
    assert point.replicas == {"r0": pytest.approx(1.0), "r1": pytest.approx(1.0)}
    assert point.warm_up_s == 10.0
    assert not point.is_client_limit


def test_errors_stand_apart() -> None:
    """A refusal counts as an error, and neither as a caption nor in the latencies."""
    refused = [
        Sample(started_s=n, ended_s=n + 0.01, code=FailureCode.OVERLOADED) for n in range(30)
    ]
    point = measure(
        closed_loop(4, 2.0, 40.0) + refused,
        Window(10.0, 20.0, is_steady=True),
        IDLE,
        begun_s=0.0,
        in_flight=4,
    )
    assert point.clips_per_s == pytest.approx(2.0)
    assert point.errors_by_code == {"overloaded": 10}
    assert point.request_s is not None
    assert point.request_s.p50 == pytest.approx(2.0)


@pytest.mark.parametrize(
    "client",
    [
        ClientUse(cores=0.97, loop_lag_p50_s=0.0, loop_lag_p99_s=0.0),
        ClientUse(cores=0.2, loop_lag_p50_s=0.0, loop_lag_p99_s=0.3),
    ],
)
def test_client_at_its_limit_is_told(client: ClientUse) -> None:
    """A figure says so where the client had no time, or woke late."""
    samples = closed_loop(4, 2.0, 40.0)
    point = measure(samples, Window(10.0, 30.0, is_steady=True), client, begun_s=0.0, in_flight=4)
    assert point.is_client_limit


def arrivals(per_s: float, capacity_per_s: float, until_s: float) -> list[Sample]:
    """Requests at equal distances at a server that takes them one by one."""
    samples, free_s = [], 0.0
    for number in range(int(per_s * until_s)):
        begun_s = number / per_s
        free_s = max(free_s, begun_s) + 1 / capacity_per_s
        samples.append(Sample(started_s=begun_s, ended_s=free_s))
    return samples


def test_overload_is_no_rate() -> None:
    """Of arrivals at twice the capacity the rate is the capacity, and the growing queue is told."""
    samples = arrivals(16, 8, 40.0)
    window = steady_window(samples, ramp=0, to_s=40.0, rate=ended_per_s)
    point = measure(samples, window, IDLE, begun_s=0.0, arrivals_per_s=16)
    assert point.clips_per_s == pytest.approx(8, rel=0.02)
    assert point.is_overloaded
    assert not point.is_client_limit


def test_what_is_answered_is_no_overload() -> None:
    """Arrivals below the capacity let no queue grow."""
    samples = arrivals(7, 8, 40.0)
    window = steady_window(samples, ramp=0, to_s=40.0, rate=ended_per_s)
    assert window.is_steady
    assert not is_queue_growing(samples, window)


@given(seed=st.integers(0, 99))
def test_interval_of_a_poisson_process(seed: int) -> None:
    """Captions that come by chance have a rate whose interval is that of their number."""
    rng, at_s, samples = random.Random(seed), 0.0, []  # noqa: S311 - chance, no secret
    while at_s < 100:
        samples.append(Sample(started_s=at_s, ended_s=at_s))
        at_s += rng.expovariate(4.0)
    told = half_width(partial(ended_per_s, samples), 0.0, 100.0)
    assert 0.2 * 0.39 < told < 3 * 0.39  # 1.96 * sqrt(4 / 100)


def test_nothing_but_errors() -> None:
    """Of a load without a caption every error counts, and nothing is steady."""
    samples = [
        Sample(started_s=n, ended_s=n + 0.1, code=FailureCode.CONNECT_FAILED) for n in range(20)
    ]
    window = steady_window(samples, ramp=4, to_s=25.0)
    point = measure(samples, window, IDLE, begun_s=0.0, in_flight=4)
    assert (point.errors, point.captions, point.is_steady) == (20, 0, False)
    assert not point.is_client_limit
