"""Which windows cover a film."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import MediaConfig
from captionfleet.messages import Source
from captionfleet.producer.identity.clips import plan
from captionfleet.producer.windows import Window, seconds_in, windows_of


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
