"""What is left out of films that are longer than their window."""

from dataclasses import replace

import pytest

from captionfleet.messages import Caption
from captionfleet.sink.footage import flagged, left_out_s
from captionfleet.sink.stats import RunStatistics
from tests.support.outcomes import make_caption


def caption(source_s: float, *, frames: int = 60, audio_s: float = 60.0) -> Caption:
    made = make_caption()
    clip = replace(made.clip, start_s=0.0, end_s=60.0, stands_alone=True)
    return replace(
        made,
        clip=clip,
        facts=replace(made.facts, source_s=source_s, frames=frames, audio_s=audio_s),
    )


@pytest.mark.parametrize(
    ("source_s", "frames", "audio_s", "expected_s"),
    [
        (312.4, 60, 60.0, 252.4),
        (60.4, 60, 60.0, 0.0),  # less than a frame of its own
        (12.0, 12, 12.0, 0.0),
        (312.4, 30, 30.0, 0.0),  # the header lies: the film ended
        (312.4, 2, 60.0, 252.4),  # a still picture, and music that goes on
        (0.0, 60, 60.0, 0.0),  # a length that is not known
    ],
)
def test_what_lies_beyond_the_window(
    source_s: float, frames: int, audio_s: float, expected_s: float
) -> None:
    """A film is cut where it really goes on for a second or more."""
    made = caption(source_s, frames=frames, audio_s=audio_s)
    assert left_out_s(made) == pytest.approx(expected_s)
    kept = flagged(made)
    assert isinstance(kept, Caption)
    assert ("cut_to_window" in kept.flags) == bool(expected_s)


def test_a_window_among_others_is_no_cut() -> None:
    """Where all windows of a film are asked for, none of them is flagged."""
    made = caption(312.4)
    assert flagged(replace(made, clip=replace(made.clip, stands_alone=False))).clip
    assert left_out_s(replace(made, clip=replace(made.clip, stands_alone=False))) == 0


def test_the_share_is_of_all_footage() -> None:
    """One film of two minutes and one of a minute: a third is left out."""
    statistics = RunStatistics()
    statistics.add(caption(120.0))
    statistics.add(caption(60.0))
    assert statistics.cut_to_window() == {"films": 1, "left_out_s": 60.0, "share": 0.3333}
