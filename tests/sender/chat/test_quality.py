"""Flags on captions that came whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.sender.chat.quality import flags_of

SANE = (
    "A man walks along a beach at dusk. The waves roll in, the waves roll out, and a dog runs "
    "ahead of him. Music plays; somebody laughs. The camera turns to the sea."
)


@pytest.mark.parametrize(
    ("text", "finish_reason", "flags"),
    [
        (SANE, "stop", ()),
        (SANE, "length", ("truncated",)),
        ("no no no no no no no no", "stop", ("degenerate",)),
        ("A man walks. " + "The waves roll in. " * 40 + "The waves", "length",
         ("truncated", "degenerate")),
        (SANE + " very" * 6, "stop", ()),
        ("la la la la", "stop", ()),
        ("", "stop", ()),
    ],
    ids=["sane", "cut", "one-word", "phrase-to-the-limit", "emphasis", "song", "empty"],
)  # fmt: skip
def test_known_captions(text: str, finish_reason: str, flags: tuple[str, ...]) -> None:
    """A caption is flagged for being cut off, and for losing the thread, and for nothing else."""
    assert flags_of(text, finish_reason) == flags


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=12), st.integers(6, 30))
def test_any_phrase_repeated_is_degenerate(phrase: list[str], times: int) -> None:
    """Whatever the phrase, repeating it at length is noticed."""
    assert "degenerate" in flags_of(" ".join(phrase * times), "stop")


@given(st.lists(st.integers(), unique=True, max_size=300))
def test_text_without_repetition_is_never_degenerate(numbers: list[int]) -> None:
    """A text in which no word comes twice is never flagged."""
    assert flags_of(" ".join(map(str, numbers)), "stop") == ()
