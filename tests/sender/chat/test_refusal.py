"""Refusals in words, and captions that only sound like them."""

import pytest

from captionfleet.sender.chat.refusal import is_refusal


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I\u2019m sorry, I can\u2019t help with that.",
        "Sorry, I cannot describe this video.",
        "I cannot provide a description of this content.",
        "I am unable to help with this.",
        "I apologize, but I am not able to fulfill that.",
        "I won't engage with this material.",
        "\u5f88\u62b1\u6b49\uff0c\u6211\u65e0\u6cd5\u63d0\u4f9b\u5e2e\u52a9\u3002",
        "\u62b1\u6b49\uff0c\u6211\u4e0d\u80fd\u63cf\u8ff0\u8fd9\u4e2a\u89c6\u9891\u3002",
    ],
)
def test_refusals_are_known(text: str) -> None:
    """As models write them, with straight and curly apostrophes."""
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "A man says: \"I'm sorry, but I can't help you.\"",
        "I cannot see any people; a dog runs along the beach.",
        "I can't tell what is said, but a crowd is cheering.",
        "Sorry for the wait, says the waiter, and sets down two plates.",
        "I can't describe this any better than the signs do: " + "a red sign, a blue sign, " * 20,
        "",
    ],
)
def test_captions_are_none(text: str) -> None:
    """What people say in a film, what cannot be made out, and long texts."""
    assert not is_refusal(text)
