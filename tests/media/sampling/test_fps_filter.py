"""The fps filter against a plain model, and the guesses that FFmpeg makes of times."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.media.sampling.fps_filter import BestEffortPts, FpsFilter, frame_duration

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


@given(presentation_times(), st.integers(1, 90), st.integers(1, 20))
def test_fps_filter_is_complete_as_soon_as_every_slot_is_shown(
    times: list[int], duration: int, seconds: int
) -> None:
    """Who stops reading there, as samplers do, loses no frame and reads none for nothing."""
    fps_filter = new_filter(seconds)
    shown, taken = 0, 0
    while taken < len(times) and not fps_filter.is_complete:
        shown += fps_filter.push(times[taken])
        taken += 1
    shown += fps_filter.finish(times[taken - 1] + duration)

    expected = shown_frames(times, times[-1] + duration, seconds)
    assert shown == len(expected)
    needed = [time for time in times if (2 * time + TICKS_PER_S) // (2 * TICKS_PER_S) < seconds]
    assert taken <= max(1, len(needed) + 1)


@given(presentation_times(), st.integers(1, 20), st.data())
def test_fps_filter_goes_on_from_any_slot(
    times: list[int], seconds: int, data: st.DataObject
) -> None:
    """A filter resumed after some slots, shown every frame again, gives the rest of them."""
    whole = new_filter(seconds)
    counts = [whole.push(time) for time in times]
    done = data.draw(st.integers(0, sum(counts)))
    resumed = whole.resumed(done)
    assert sum(resumed.push(time) for time in times) == sum(counts) - done
    assert resumed.first_slot == whole.first_slot


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
