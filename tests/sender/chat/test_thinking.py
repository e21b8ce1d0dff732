"""Reasoning that stands in the text itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.sender.chat.thinking import without_thinking


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A ball.", ("A ball.", "")),
        ("<think>round</think>\n\nA ball.", ("A ball.", "round")),
        ("  <think>\nround\n</think>A ball. ", ("A ball.", "round")),
        ("<think></think>A ball.", ("A ball.", "")),
        ("round\n</think>\n\nA ball.", ("A ball.", "round")),
        ("<think>round, and", ("", "round, and")),
        ("A sign reads <think>.", ("A sign reads <think>.", "")),
        ("A sign reads <think>x</think>.", ("A sign reads <think>x</think>.", "")),
    ],
)
def test_thinking_is_taken_from_the_start_alone(text: str, expected: tuple[str, str]) -> None:
    """With and without its beginning, and where it never ends."""
    assert without_thinking(text) == expected


@given(st.text(), st.text(st.characters(exclude_characters="<>")))
def test_a_caption_is_whole_whatever_was_thought(caption: str, thought: str) -> None:
    """Nothing of the caption is lost, and nothing of the thought is in it."""
    assert without_thinking(f"<think>{thought}</think>{caption}") == (
        caption.strip(),
        thought.strip(),
    )
