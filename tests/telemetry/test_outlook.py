"""What is left of a run, and how long it takes."""

import pytest

from captionfleet.messages import Clip, Source
from captionfleet.telemetry import Tally
from captionfleet.telemetry.outlook import Outlook
from captionfleet.telemetry.pace import Pace

WINDOW_S = 60.0


def clip(size_bytes: int, number: int = 0) -> Clip:
    """A clip of a file of this size."""
    return Clip(f"{number:032x}", Source("/f", "f", size_bytes, 0), 0.0, WINDOW_S)


def test_video_left_goes_by_size() -> None:
    """A file that is long for its window counts as the window, a short one as its length."""
    outlook = Outlook()
    for size in (1_000_000, 100_000_000):
        outlook.expect(clip(size))
    assert outlook.left_s() == 2 * WINDOW_S  # nothing is known of lengths yet
    outlook.learn(clip(2_000_000), 20.0)
    assert outlook.left_s() == pytest.approx(10.0 + WINDOW_S, rel=0.1)
    outlook.settle(clip(100_000_000))
    assert outlook.left_s() == pytest.approx(10.0, rel=0.1)


def test_a_clip_may_have_its_line_before_it_is_counted() -> None:
    """The count on the side and the run itself may come in any order."""
    outlook = Outlook()
    outlook.settle(clip(1000))
    outlook.expect(clip(1000))
    assert (outlook.clips, outlook.left_s()) == (1, 0.0)


def run_of(clips: int) -> Tally:
    """A run with this many clips, all counted."""
    tally = Tally()
    for number in range(clips):
        tally.outlook.expect(clip(1_000_000, number))
    tally.outlook.is_whole = True
    return tally


def move(tally: Tally, *, prepared: int = 0, settled: int = 0) -> None:
    """Let clips of ten seconds get on."""
    for _ in range(prepared):
        tally.outlook.learn(clip(1_000_000), 10.0)
        tally.prepared_video_s += 10.0
    for _ in range(settled):
        tally.outlook.settle(clip(1_000_000))
        tally.captioned += 1
        tally.settled_video_s += 10.0


def test_the_slower_stage_decides() -> None:
    """Preparing runs ahead at first; then the time left is that of what gets its line."""
    tally, pace = run_of(1000), Pace()
    tally.preparing, tally.max_in_flight = 2, 20
    pace.see(tally, 0.0)
    move(tally, prepared=50)
    pace.see(tally, 10.0)
    assert pace.left_s(tally) == pytest.approx(190.0, rel=0.15)  # 5 a second, of 950
    for second in range(11, 111):
        move(tally, prepared=1, settled=1)
        pace.see(tally, float(second))
    assert pace.clips_per_s() == pytest.approx(1.0, rel=0.15)
    assert pace.left_s(tally) == pytest.approx(900.0, rel=0.25)


def test_waits_are_no_part_of_the_rate() -> None:
    """A deployment that sleeps for an hour does not make the rest take weeks."""
    tally, pace = run_of(100), Pace()
    tally.preparing = 1
    for second in range(50):
        pace.see(tally, float(second))
        move(tally, prepared=1, settled=1)
    before = pace.left_s(tally)
    tally.waiting_for = "omni-a: scaling up"
    pace.see(tally, 60.0)
    pace.see(tally, 3660.0)
    tally.waiting_for = ""
    pace.see(tally, 3660.2)
    assert before is not None
    assert pace.left_s(tally) == pytest.approx(before, rel=0.1)


def test_nothing_is_said_before_anything_is_known() -> None:
    """No rate and no time left come of nothing."""
    tally, pace = run_of(10), Pace()
    pace.see(tally, 0.0)
    pace.see(tally, 5.0)
    assert (pace.clips_per_s(), pace.left_s(tally)) == (None, None)
