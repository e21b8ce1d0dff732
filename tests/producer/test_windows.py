"""Which windows cover a film."""

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import MediaConfig
from captionfleet.messages import Source
from captionfleet.producer.identity.clips import plan
from captionfleet.producer.windows import Window, scene_windows, seconds_in, windows_of


@given(
    film_s=st.floats(0, 20_000),
    window_s=st.integers(2, 600),
    overlap_s=st.floats(0, 1).map(lambda share: round(share, 3)),
)
def test_windows_cover_a_film(film_s: float, window_s: int, overlap_s: float) -> None:
    """No second is left out but a rest shorter than one, and each window brings something new."""
    windows = windows_of(film_s, float(window_s), overlap_s)
    assert windows[0] == Window(0.0, float(window_s))
    for before, after in pairwise(windows):
        assert before.start_s < after.start_s <= before.end_s
        assert abs(before.end_s - after.start_s - overlap_s) < 1e-3
        assert film_s - before.end_s >= 1
    assert film_s - windows[-1].end_s < 1


def test_a_longer_film_keeps_the_windows_it_had() -> None:
    """What is known better of a film's length adds windows, and renames none."""
    assert windows_of(7200, 60)[:10] == windows_of(600, 60)
    assert windows_of(60.4, 60) == windows_of(0, 60)


def test_the_first_window_keeps_its_id() -> None:
    """A folder captioned by first windows is not paid for again when all are asked for."""
    source, media = Source("/films/a.mp4", "a.mp4", 10, 20), MediaConfig()
    (alone,) = plan(source, media)
    first, *others = plan(source, media, windows=windows_of(200, 60))
    assert first.clip_id == alone.clip_id
    assert len({clip.clip_id for clip in (first, *others)}) == 4
    assert (alone.stands_alone, first.stands_alone) == (True, False)


def test_what_a_film_fills_of_a_window() -> None:
    """A film may end before, within or after a window, or not say where."""
    window = Window(50.0, 60.0)
    filled = [seconds_in(window, film_s) for film_s in (40.0, 55.0, 70.0, 0.0)]
    assert filled == [0.0, 5.0, 10.0, 10.0]


@given(
    lengths_s=st.lists(st.floats(0.5, 200).map(lambda s: round(s, 3)), min_size=1, max_size=30),
    min_s=st.floats(1, 30).map(lambda s: round(s, 1)),
    max_s=st.integers(60, 600),
)
def test_scenes_become_windows_within_their_bounds(
    lengths_s: list[float], min_s: float, max_s: int
) -> None:
    """The windows cover the film without a gap, none too long or too short, most cut at scenes."""
    ends_s = [round(end_s, 3) for end_s in accumulate(lengths_s)]
    windows = scene_windows(ends_s, min_s, float(max_s))
    assert (windows[0].start_s, windows[-1].end_s) == (0.0, ends_s[-1])
    for before, after in pairwise(windows):
        assert before.end_s == after.start_s
    seconds = [window.end_s - window.start_s for window in windows]
    assert max(seconds) <= max_s + 0.002
    assert min(seconds) >= min(min_s, ends_s[-1]) - 0.002
    stretches = 1 + sum(window.start_s in ends_s for window in windows)
    assert len(windows) <= stretches + sum(one // max_s + 1 for one in seconds)


def test_short_scenes_join_and_long_ones_are_cut() -> None:
    """A title of two seconds goes with what follows; a take of 130 seconds is three windows."""
    windows = scene_windows([2.0, 12.0, 20.0, 150.0, 151.5], 5.0, 60.0)
    edges_s = [0.0, 12.0, 20.0, 63.833, 107.667, 151.5]
    assert windows == tuple(Window(*edges) for edges in pairwise(edges_s))
