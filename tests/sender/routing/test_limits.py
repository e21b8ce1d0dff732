"""How many requests are in flight, tried on simulated servers with a simulated clock."""

import heapq
import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.sender.routing.history import place_seconds
from captionfleet.sender.routing.limits import AdaptiveWindow, FixedWindow

Window = AdaptiveWindow | FixedWindow
LATENCY_S = 3.0


@dataclass
class Server:
    """A closed loop of requests against a server with so many slots.

    It refuses what finds no slot, queues it (and may report that), or, batching, serves all
    at once and slower: W requests at once give W / (W + slots) of its best rate.
    """

    kind: str
    slots: int
    seed: int
    halves_after: int | None = None
    now_s: float = 0.0
    in_flight: int = 0
    busy: int = 0
    captions: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)  # noqa: S311 - a simulation
        self._ends: list[tuple[float, float, float, int, float | None]] = []
        self._queue: list[tuple[float, int]] = []

    def run(self, window: Window, captions: int) -> None:
        """Go on until there are so many captions in all."""
        while len(self.captions) < captions:
            while self.in_flight < window.size:
                self._arrive()
            self._next_end(window)

    def _capacity(self) -> int:
        halved = self.halves_after is not None and len(self.captions) >= self.halves_after
        return self.slots // 2 if halved else self.slots

    def _arrive(self) -> None:
        self.in_flight += 1
        if self.kind == "batches" or self.busy < self._capacity():
            self._begin(self.now_s, self.in_flight)
        elif self.kind == "refuses":
            self._push(self.now_s + 0.02, self.now_s, self.in_flight)
        else:
            self._queue.append((self.now_s, self.in_flight))

    def _begin(self, started_s: float, level: int) -> None:
        self.busy += 1
        slower = (self.busy + self.slots) / self.slots if self.kind == "batches" else 1.0
        needed_s = max(0.05, self._rng.gauss(1, 0.3)) * LATENCY_S * slower
        queued_s = self.now_s - started_s
        self._push(self.now_s + needed_s, started_s, level, queued_s)

    def _push(
        self, end_s: float, started_s: float, level: int, queued_s: float | None = None
    ) -> None:
        heapq.heappush(self._ends, (end_s, self._rng.random(), started_s, level, queued_s))

    def _next_end(self, window: Window) -> None:
        self.now_s, _, started_s, level, queued_s = heapq.heappop(self._ends)
        request = {"started_s": started_s, "in_flight": self.in_flight, "level": level}
        if queued_s is not None:
            self.busy -= 1
            self.captions.append(self.now_s)
            told_s = queued_s if self.kind == "reports" else None
            window.succeeded(self.now_s, **request, queue_s=told_s)
        else:
            self.refusals.append(self.now_s)
            window.refused(self.now_s, **request)
        self.in_flight -= 1
        while self._queue and self.busy < self._capacity():
            self._begin(*self._queue.pop(0))

    def rate(self, first: int) -> float:
        """Captions per second after the first so many."""
        return (len(self.captions) - first - 1) / (self.captions[-1] - self.captions[first])

    def refused_share(self, first: int) -> float:
        """The part of all requests that was refused after so many captions."""
        late = sum(time_s > self.captions[first] for time_s in self.refusals)
        return late / (len(self.captions) - first + late)


def best_rate(kind: str, slots: int, ceiling: int, captions: int, first: int) -> float:
    """The best rate of any fixed window, known by the kind of server."""
    server = Server(kind, slots, seed=99)
    server.run(FixedWindow(ceiling if kind == "batches" else slots), captions)
    return server.rate(first)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("slots", [4, 16, 64])
@pytest.mark.parametrize("kind", ["refuses", "queues", "reports"])
def test_unknown_slots_are_found(kind: str, slots: int, seed: int) -> None:
    """After warm-up the rate is 0.9 of the best fixed window's, with at most 2 % refused."""
    server = Server(kind, slots, seed)
    server.run(AdaptiveWindow(256, now_s=0.0), 1200)
    assert server.rate(400) >= 0.9 * best_rate(kind, slots, 256, 1200, 400)
    assert server.refused_share(400) <= 0.02


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["refuses", "queues", "reports"])
def test_capacity_that_halves_is_followed(kind: str, seed: int) -> None:
    """When half of the capacity goes, the rest is used in full, with at most 2 % refused."""
    server = Server(kind, 16, seed, halves_after=600)
    server.run(AdaptiveWindow(256, now_s=0.0), 1600)
    assert server.rate(800) >= 0.9 * best_rate(kind, 8, 256, 1600, 800)
    assert server.refused_share(600) <= 0.02


@pytest.mark.parametrize("seed", range(3))
def test_capacity_that_grows_is_found(seed: int) -> None:
    """A deployment that gets replicas is used in full again."""
    window, server = AdaptiveWindow(256, now_s=0.0), Server("refuses", 4, seed)
    server.run(window, 400)
    server.slots = 32
    server.run(window, 2400)
    assert server.rate(1600) >= 0.9 * best_rate("refuses", 32, 256, 2400, 1600)


@pytest.mark.parametrize("slots", [16, 64])
def test_batching_server_is_filled(slots: int) -> None:
    """Where more requests keep raising the rate, the window keeps growing."""
    server = Server("batches", slots, seed=1)
    server.run(AdaptiveWindow(64, now_s=0.0), 1200)
    assert server.rate(400) >= 0.9 * best_rate("batches", slots, 64, 1200, 400)


@pytest.mark.parametrize("seed", range(3))
def test_window_does_not_grow_into_a_queue(seed: int) -> None:
    """A server that queues without a word is not given ever more: latency stays bounded."""
    window, server = AdaptiveWindow(256, now_s=0.0), Server("queues", 16, seed)
    server.run(window, 8000)
    held_s = [later - start for (start, _), (later, _) in pairwise(window.history)]
    sizes = [size for _, size in window.history]
    mean = sum(size * s for size, s in zip(sizes, held_s, strict=False)) / sum(held_s)
    assert mean <= 2 * 16


def test_burst_of_refusals_shrinks_once() -> None:
    """Refusals of requests that were sent together at most halve the window."""
    window = AdaptiveWindow(64, now_s=0.0)
    for left in range(16, 0, -1):
        window.refused(1.0, started_s=0.5, in_flight=left, level=left)
    assert window.size == 8


def test_burst_of_timeouts_shrinks_once() -> None:
    """Timeouts of requests sent together at most halve the window; a lone one takes no place."""
    window = AdaptiveWindow(64, now_s=0.0)
    window.timed_out(1.0, started_s=0.5, in_flight=16, level=16)
    assert window.size == 16
    for left in range(15, 0, -1):
        window.timed_out(1.0, started_s=0.5, in_flight=left, level=left)
    assert window.size == 8
    window.timed_out(3.0, started_s=2.0, in_flight=8, level=8)
    assert window.size == 6


def test_window_that_is_not_used_does_not_grow() -> None:
    """A rate that rises while places are free says nothing about the server's end."""
    window = AdaptiveWindow(64, now_s=0.0)
    now_s = 0.0
    for number in range(1000):
        now_s += 1 / (1 + number)
        window.succeeded(now_s, started_s=now_s - 1, in_flight=15, level=15)
    assert window.size == 16


@given(
    st.integers(1, 300),
    st.lists(
        st.tuples(
            st.sampled_from(["succeeded", "refused", "timed_out", "faulted"]),
            st.floats(0, 1e4),
            st.integers(1, 300),
            st.integers(1, 300),
            st.none() | st.floats(0, 1e6),
        ),
        max_size=300,
    ),
)
def test_window_stays_within_its_bounds(
    ceiling: int, ends: list[tuple[str, float, int, int, float | None]]
) -> None:
    """Whatever happens, at least one request may be out and never more than the ceiling."""
    window = AdaptiveWindow(ceiling, now_s=0.0)
    now_s = 0.0
    for kind, passed_s, in_flight, level, queue_s in ends:
        sent_s, now_s = now_s, now_s + passed_s
        request = {"started_s": sent_s, "in_flight": in_flight, "level": level}
        if kind == "succeeded":
            window.succeeded(now_s, **request, queue_s=queue_s)
        elif kind == "refused":
            window.refused(now_s, **request)
        elif kind == "timed_out":
            window.timed_out(now_s, **request)
        else:
            window.faulted()
        assert 1 <= window.size <= ceiling
    assert window.history[-1][1] == window.size
    assert len(window.history) <= 256


def test_history_is_bounded_and_keeps_its_ends() -> None:
    """A long run keeps the first and the last window and not every one between."""
    window = AdaptiveWindow(256, now_s=0.0)
    for second in range(1, 4000):
        end = window.succeeded if second % 8 else window.refused
        size = window.size
        end(float(second), started_s=second - 0.5, in_flight=size, level=size)
    assert 100 < len(window.history) <= 256
    assert window.history[0] == (0.0, 16)
    assert window.history[-1][1] == window.size


def test_fixed_window_keeps_to_its_number() -> None:
    """A number that the user fixed is kept, whatever the server says."""
    window = FixedWindow(5)
    window.refused(1.0, started_s=0.0, in_flight=5, level=5)
    window.timed_out(1.0, started_s=0.0, in_flight=5, level=5)
    window.succeeded(2.0, started_s=1.0, in_flight=5, level=5, queue_s=9.0)
    assert (window.size, window.history) == (5, ((0.0, 5),))


def test_place_seconds_are_the_window_summed_over_time() -> None:
    """A window of 8 for 2 s and of 4 for 3 s offered 28 place-seconds, and no more later."""
    history = [(0.0, 8), (2.0, 4), (9.0, 100)]
    assert place_seconds(history, 5.0) == 8 * 2 + 4 * 3
