"""How long a clip waits before it is asked again, and what the run can afford."""

from hypothesis import given
from hypothesis import strategies as st

from captionfleet.sender.routing.retry import Backoff, RetryBudget

JITTER = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 10_000), JITTER)
def test_full_jitter_grows_to_its_cap(failures: int, jitter: float) -> None:
    """The wait is uniform from 0 to a ceiling that doubles from 0.5 s up to 30 s."""
    ceiling_s = min(30.0, 0.5 * 2.0 ** min(failures - 1, 100))
    assert Backoff().wait_s(failures, jitter=jitter) == jitter * ceiling_s


@given(st.integers(1, 100), JITTER, st.floats(0, 1e9))
def test_retry_after_is_a_floor_within_reason(failures: int, jitter: float, floor_s: float) -> None:
    """No clip comes back before the server's wish, nor later than the wish's bound and the cap."""
    wait_s = Backoff().wait_s(failures, jitter=jitter, floor_s=floor_s)
    assert min(floor_s, 120.0) <= wait_s <= 150.0


def test_clips_with_the_same_wish_do_not_come_back_together() -> None:
    """The jitter is added to the server's wish, so a refused burst is spread."""
    assert Backoff().wait_s(3, jitter=0.1, floor_s=10) != Backoff().wait_s(
        3, jitter=0.9, floor_s=10
    )


@given(st.integers(1, 10_000), JITTER)
def test_waits_are_short_while_captions_come(failures: int, jitter: float) -> None:
    """A clip that fails by chance again and again does not end the run alone, minutes late."""
    wait_s = Backoff().wait_s(failures, jitter=jitter, is_earned=True)
    assert wait_s == min(Backoff().wait_s(failures, jitter=jitter), jitter)


@given(st.integers(1, 5), JITTER)
def test_out_of_budget_is_slow_at_once(failures: int, jitter: float) -> None:
    """A run without budget asks again at the slowest pace, from the first failure on."""
    assert 15.0 <= Backoff().wait_s(failures, jitter=jitter, in_budget=False) <= 30.0


def test_failing_run_spends_its_reserve() -> None:
    """A run that only fails gets 50 quick retries and no more."""
    budget = RetryBudget()
    assert [budget.spend() for _ in range(60)] == [True] * 50 + [False] * 10


def test_captions_earn_retries() -> None:
    """Two captions earn one quick retry, so a fleet that spoils every third answer goes on."""
    budget = RetryBudget(reserve=1)
    assert budget.spend()
    for _ in range(2):
        assert not budget.spend()
        budget.earn()
    assert budget.spend()


def test_budget_does_not_pile_up() -> None:
    """However long a run went well, its budget stays bounded."""
    budget = RetryBudget(reserve=10)
    for _ in range(10_000):
        budget.earn()
    assert sum(budget.spend() for _ in range(100)) == 20
