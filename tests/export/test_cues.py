"""Subtitles on the film's timeline, that no caption can break out of."""

from hypothesis import given, settings
from hypothesis import strategies as st

from captionfleet.export.cues import Cue, cues_of, srt, vtt


def test_times_in_a_caption_become_events() -> None:
    """Lines that begin with a time are cues of their own, counted from the window's start."""
    caption = "Two people.\n[00:05 - 00:09] They meet.\n0:20: They part.\nFor good."
    assert cues_of(caption, 60.0, 120.0) == [
        Cue(60.0, 65.0, "Two people."),
        Cue(65.0, 69.0, "They meet."),
        Cue(80.0, 120.0, "They part.\nFor good."),
    ]


def test_other_times_are_text() -> None:
    """A time that is not within the window, or goes back, makes no event."""
    for caption in ("[12:30] A clock.", "0:20 Late.\n0:05 Early.", "At 0:05 he runs."):
        assert cues_of(caption, 0.0, 60.0) == [Cue(0.0, 60.0, caption)]


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_a_text_stays_in_its_cue(text: str) -> None:
    """No blank line, arrow, tag or control character of a caption ends a cue or begins one."""
    for words in (srt, vtt):
        made = words([Cue(0.0, 1.5, text), Cue(1.5, 3700.25, "end")])
        assert made.count("-->") == 2
        blocks = made.strip("\n").split("\n\n")
        assert len(blocks) == (2 if words is srt else 3)
        assert "01:01:40" in blocks[-1]
        assert "<" not in vtt([Cue(0.0, 1.0, text)])
