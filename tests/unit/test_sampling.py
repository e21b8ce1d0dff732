"""The planner against a plain model of FFmpeg's fps filter."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.workers.sampling import (
    BestEffortPts,
    FpsFilter,
    PacketPlanner,
    PlanBroken,
    frame_duration,
)

TICKS_PER_S = 90


def shown_frames(times: list[int], end: int, seconds: int) -> list[int]:
    """The plain model: at every slot, the last frame that is due; slots from the first frame."""

    def slot(time: int) -> int:
        return (2 * time + TICKS_PER_S) // (2 * TICKS_PER_S)

    last_slot = min(slot(end), seconds)
    return [
        max(time for time in times if slot(time) <= number)
        for number in range(slot(times[0]), last_slot)
    ]


@st.composite
def presentation_times(draw: st.DrawFn) -> list[int]:
    """Strictly rising times in ticks: steady, jittering or with gaps of seconds."""
    gaps = draw(st.lists(st.integers(1, 400) | st.integers(1, 8), min_size=1, max_size=120))
    times = [draw(st.integers(0, 300))]
    for gap in gaps:
        times.append(times[-1] + gap)
    return times


@st.composite
def coded_order(draw: st.DrawFn, times: list[int]) -> list[tuple[int, int, bool]]:
    """The same frames in a decoding order with B-frames and key frames: (pts, dts, is_key)."""
    order: list[tuple[int, bool]] = [(times[0], True)]
    position = 1
    while position < len(times):
        size = draw(st.integers(1, 5))
        group = times[position : position + size]
        order.append((group[-1], draw(st.booleans())))
        order += [(pts, False) for pts in draw(st.permutations(group[:-1]))]
        position += size
    earliest = min(times) - 2 * len(times) - 10
    dts: list[int] = []
    for index in range(len(order)):
        bound = min(pts for pts, _ in order[index:])
        dts.append(max(min(bound, earliest + index), (dts[-1] + 1) if dts else earliest))
    return [(pts, when, is_key) for (pts, is_key), when in zip(order, dts, strict=True)]


def new_filter(seconds: int) -> FpsFilter:
    return FpsFilter(Fraction(1, TICKS_PER_S), seconds)


@given(presentation_times(), st.integers(1, 90), st.integers(1, 20))
def test_fps_filter_shows_what_the_plain_model_shows(
    times: list[int], duration: int, seconds: int
) -> None:
    """Pushing frames one by one gives the same frame for every slot as looking at all of them."""
    fps_filter = new_filter(seconds)
    shown: list[int] = []
    for before, now in zip([times[0], *times], times, strict=False):
        shown += [before] * fps_filter.push(now)
    shown += [times[-1]] * fps_filter.finish(times[-1] + duration)
    assert shown == shown_frames(times, times[-1] + duration, seconds)


@given(st.data(), presentation_times(), st.integers(2, 90), st.integers(1, 20))
def test_planner_wants_the_same_frames_from_packets_in_decoding_order(
    data: st.DataObject, times: list[int], duration: int, seconds: int
) -> None:
    """What the planner wants from reordered packets is what the plain model shows."""
    planner = PacketPlanner(new_filter(seconds))
    wanted = []
    for pts, dts, is_key in data.draw(coded_order(times)):
        wanted += planner.add(pts, dts, is_key=is_key)
    wanted += planner.finish(duration, by_rate=0)
    shown = [one.pts for one in wanted for _ in range(one.slots)]
    assert shown == shown_frames(times, times[-1] + duration, seconds)


@given(st.data(), presentation_times(), st.integers(1, 20))
def test_every_wanted_packet_is_fed_after_a_key_frame_it_can_start_from(
    data: st.DataObject, times: list[int], seconds: int
) -> None:
    """Each wanted packet is fed exactly once, never as skippable, and a restart begins at a key."""
    packets = data.draw(coded_order(times))
    planner = PacketPlanner(new_filter(seconds))
    held, fed = [], []
    steps = []
    for pts, dts, is_key in packets:
        held.append((pts, is_key))
        for one in planner.add(pts, dts, is_key=is_key):
            steps.append(one.pts)
            step = planner.next_step(one)
            if step is None:
                continue
            count = step.drop + len(step.skippable)
            feed = held[step.drop : count]
            held = held[count:]
            assert not step.restart or (feed[0][1] and feed[0][0] <= one.pts)
            fed += [pts for (pts, _), skip in zip(feed, step.skippable, strict=True) if not skip]
    assert set(steps) <= set(fed)
    assert len(fed) == len(set(fed))


def test_packets_are_held_for_little_more_than_a_slot() -> None:
    """With a frame wanted in every second, no more than the packets of a second are held."""
    planner = PacketPlanner(new_filter(600))
    most = 0
    for number in range(3000):
        for one in planner.add(3 * number, 3 * number, is_key=number == 0):
            planner.next_step(one)
        most = max(most, len(planner._held))
    assert most <= 32


@pytest.mark.parametrize(
    "packets",
    [
        [(0, 0), (3, 0)],
        [(0, 0), (3, 3), (6, 2)],
        [(0, 5)],
        [(0, 0), (3, None)],
        [(0, -2), (0, -1), (9, 3)],
    ],
    ids=["equal-dts", "dts-backwards", "pts-before-dts", "dts-lost", "equal-pts"],
)
def test_timestamps_that_cannot_be_trusted_break_the_plan(
    packets: list[tuple[int, int | None]],
) -> None:
    """A plan is given up as soon as a timestamp contradicts another."""
    planner = PacketPlanner(new_filter(60))

    def plan() -> None:
        for pts, dts in packets:
            planner.add(pts, dts, is_key=True)

    with pytest.raises(PlanBroken):
        plan()


def test_missing_dts_in_front_only_delays_the_plan() -> None:
    """Matroska leaves out the first DTS of some streams; nothing is lost by that."""
    planner = PacketPlanner(new_filter(2))
    wanted = []
    for number in range(200):
        dts = None if number < 6 else number
        wanted += planner.add(number, dts, is_key=number == 0)
    assert [(one.pts, one.slots) for one in wanted] == [(44, 1), (134, 1)]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([(0, 0), (10, 5), (20, 10)], [0, 10, 20]),
        ([(0, 0), (30, 10), (20, 20), (10, 30)], [0, 30, 20, 30]),
        ([(None, 0), (None, 10)], [0, 10]),
        ([(5, None), (6, None)], [5, 6]),
        ([(None, None)], [None]),
    ],
    ids=["sane", "pts-out-of-order", "no-pts", "no-dts", "neither"],
)
def test_the_kind_of_timestamp_that_runs_backwards_less_is_believed(
    stamps: list[tuple[int | None, int | None]], expected: list[int | None]
) -> None:
    """PTS are believed until they have run backwards more often than DTS."""
    guess = BestEffortPts()
    assert [guess.guess(pts, dts) for pts, dts in stamps] == expected


@pytest.mark.parametrize(
    ("said", "since_last", "by_rate", "expected"),
    [
        ({"duration": 40}, 33, 33, 40),
        ({"duration": 1}, 33, 0, 33),
        ({"duration": 40, "unreliable": True}, 33, 33, 33),
        ({"duration": 0}, 50, 33, 50),
        ({"duration": 0}, None, 33, 33),
        ({"duration": 0}, None, 0, 1),
    ],
)
def test_frame_duration_is_estimated_as_ffmpeg_does(
    said: dict[str, int], since_last: int | None, by_rate: int, expected: int
) -> None:
    """The container's word counts, then the last step, then the rate."""
    duration = frame_duration(
        said["duration"], since_last, by_rate, unreliable=bool(said.get("unreliable"))
    )
    assert duration == expected
