"""Captions as they are handed on: words before and after, no preamble, no longer than wanted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import CaptionConfig
from captionfleet.export.wording import worded


@pytest.mark.parametrize(
    ("caption", "kept"),
    [
        ("The video shows a dog.", "A dog."),
        ("This short video clip depicts two men.", "Two men."),
        ("In this video, a man walks.", "A man walks."),
        ("In the clip we can see snow.", "Snow."),
        ("A video of a red car.", "A red car."),
        ("Sure! Here is a description of the video: The video begins with rain.", "Rain."),
        ("**Description:** The footage captures a bird.", "A bird."),
        ("Here's a detailed caption for this clip:\n\nWe see a boat.", "A boat."),
        ("The videographer shows a dog.", "The videographer shows a dog."),
        ("A man shows the video to a dog.", "A man shows the video to a dog."),
        ("The video shows ", "The video shows "),
        ("", ""),
    ],
)
def test_preambles_go(caption: str, kept: str) -> None:
    """What only says that there is a video is left out, and nothing else."""
    assert worded(caption, CaptionConfig(strip_preamble=True)) == kept


@pytest.mark.parametrize(
    ("most", "kept"),
    [
        (100, "Mr. Fox runs. He stops! Then night."),
        (30, "Mr. Fox runs. He stops!"),
        (14, "Mr. Fox runs."),
        (9, "Mr. Fox"),
        (2, "Mr"),
    ],
)
def test_long_captions_end_with_a_sentence(most: int, kept: str) -> None:
    """A caption is cut after a sentence, else after a word, and never behind a title."""
    wording = CaptionConfig(max_chars=most)
    assert worded("Mr. Fox runs. He stops! Then night.", wording) == kept


def test_prefix_suffix_and_single_line() -> None:
    """A trigger word comes first, and white space becomes single spaces."""
    wording = CaptionConfig(prefix="ohwx, ", suffix=" [end]", single_line=True)
    assert worded("A dog.\n\n  It runs.", wording) == "ohwx, A dog. It runs. [end]"


@given(st.text(), st.integers(9, 60), st.booleans(), st.booleans())
def test_no_text_is_too_long(caption: str, most: int, strip: bool, single: bool) -> None:  # noqa: FBT001
    """Whatever the caption, the text is no longer than asked for."""
    wording = CaptionConfig(
        prefix="pre ", suffix=" end", max_chars=most, strip_preamble=strip, single_line=single
    )
    assert len(worded(caption, wording)) <= most
