"""How a window gives way to refusals: driven caption by caption, a hundred to the second."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.sender.routing.congestion import CongestionWindow

SERVICE_S = 1.0


class Drive:
    """A window that is always full, at a server with so many slots and so many odd refusals."""

    def __init__(self, aim: int, *, slots: int, odd: float = 0.0, seed: int = 0) -> None:
        self.window = CongestionWindow(aim)
        self.slots = slots
        self.odd = odd
        self.rng = random.Random(seed)  # noqa: S311 - repeatable
        self.now_s = 0.0
        self.losses = self.refusals = 0  # all of them, and those of a full server
        self.sizes: list[int] = []

    def run(self, captions: int) -> None:
        """Let so many captions come."""
        for _ in range(captions):
            self.now_s += SERVICE_S / min(self.window.size, self.slots)
            size = self.window.size
            self.window.answered(self.now_s, started_s=self.now_s - SERVICE_S, level=size)
            while (is_full := self.window.size > self.slots) or self.rng.random() < self.odd:
                self.losses, self.refusals = self.losses + 1, self.refusals + is_full
                size = self.window.size
                self.window.lost(
                    self.now_s + 0.001, started_s=self.now_s, in_flight=size, level=size
                )
                self.now_s += 0.001
            self.sizes.append(self.window.size)


def test_lone_loss_costs_nothing_and_a_second_one_a_place() -> None:
    """One lost request says little of a server yet unknown; two in a row look like its end."""
    window = CongestionWindow(16)
    window.lost(10.0, started_s=9.9, in_flight=16, level=16)
    assert window.size == 16
    window.lost(10.1, started_s=10.05, in_flight=16, level=16)
    sizes = []
    for number in range(6):
        sizes.append(window.size)
        window.answered(10.2 + number, started_s=9.2 + number, level=15)
    assert (sizes, window.size) == ([15] * 6, 16)


def test_one_loss_is_enough_from_a_server_that_never_lost_any() -> None:
    """After many captions without a fault a refusal is news: the place is given up at once."""
    window = CongestionWindow(16)
    for number in range(100):
        window.answered(float(number), started_s=number - 1.0, level=16)
    window.lost(100.1, started_s=100.0, in_flight=16, level=16)
    assert window.size == 15


@pytest.mark.parametrize("slots", [4, 16, 64])
def test_end_of_the_server_is_asked_for_ever_more_rarely(slots: int) -> None:
    """A server with fewer slots than wanted refuses 2 % at most, and all its slots are used."""
    drive = Drive(2 * slots, slots=slots)
    drive.run(200)
    assert drive.window.knows_end
    before = drive.losses
    drive.run(2000)
    assert drive.losses - before <= 0.02 * 2000
    assert min(drive.sizes[200:]) >= slots - 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [4, 16, 64])
@pytest.mark.parametrize(("odd", "left"), [(0.05, 0.93), (0.15, 0.85)])
def test_odd_losses_hardly_shrink_the_window(size: int, odd: float, left: float, seed: int) -> None:
    """Refusals that have nothing to do with load leave nearly all of the window."""
    drive = Drive(size, slots=size, odd=odd, seed=seed)
    drive.run(4000)
    assert sum(drive.sizes) / len(drive.sizes) >= left * size


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("slots", "odd"), [(18, 0.03), (18, 0.05), (42, 0.05), (42, 0.1)])
def test_odd_losses_do_not_hide_a_known_limit(slots: int, odd: float, seed: int) -> None:
    """A loss by chance below the limit is no reason to try the limit more often."""
    drive = Drive(2 * slots, slots=slots, odd=odd, seed=seed)
    drive.run(3000)
    assert drive.refusals <= 0.04 * 3000
    assert sum(drive.sizes[300:]) / 2700 >= 0.9 * slots


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("slots", "left"), [(8, 7), (16, 14), (16, 15), (64, 60)])
@pytest.mark.parametrize("odd", [0.0, 0.03])
def test_limit_that_falls_slightly_is_found(slots: int, left: int, odd: float, seed: int) -> None:
    """A place that is lost again and again is no chance, however near the known limit it is."""
    drive = Drive(2 * slots, slots=slots, odd=odd, seed=seed)
    drive.run(3000)
    drive.slots, drive.refusals = left, 0
    drive.run(1000)
    assert drive.refusals <= (0.04 if odd else 0.012) * 1000


@pytest.mark.parametrize("size", [8, 64])
def test_window_comes_back_from_one_place(size: int) -> None:
    """After a storm that left one place, a handful of rounds bring all of them back."""
    drive = Drive(size, slots=size, odd=0.9)
    drive.run(5 * size)
    assert drive.window.size == 1
    drive.odd, storm_s = 0.0, drive.now_s
    while drive.window.size < size:
        drive.run(1)
    assert drive.now_s - storm_s <= 25 * SERVICE_S


def test_room_that_appears_is_taken() -> None:
    """A server whose end was known, and that then takes more, is given all that is wanted."""
    drive = Drive(32, slots=8)
    drive.run(500)
    drive.slots = 32
    drive.run(1000)
    assert drive.window.size == 32
    assert not drive.window.knows_end


@given(
    st.integers(1, 100),
    st.lists(
        st.tuples(
            st.sampled_from(["answered", "lost", "faulted", "aim"]),
            st.integers(1, 100),
            st.integers(1, 100),
            st.floats(0, 9),
        ),
        max_size=200,
    ),
)
def test_window_stays_between_one_and_its_aim(
    size: int, ends: list[tuple[str, int, int, float]]
) -> None:
    """Whatever comes, at least one request may be out and never more than wanted."""
    window, now_s = CongestionWindow(size), 0.0
    for kind, number, level, passed_s in ends:
        sent_s, now_s = now_s, now_s + passed_s
        if kind == "answered":
            window.answered(now_s, started_s=sent_s, level=level)
        elif kind == "lost":
            window.lost(now_s, started_s=sent_s, in_flight=number, level=level)
        elif kind == "faulted":
            window.faulted()
        else:
            window.aim_at(number, now_s)
        assert 1 <= window.size <= window.aim
