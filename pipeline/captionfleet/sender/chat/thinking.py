"""Separates a model's thinking from the caption, where both are in the text; pure (main)."""

__all__ = ["without_thinking"]

_BEGIN, _END = "<think>", "</think>"


def without_thinking(text: str) -> tuple[str, str]:
    """The caption, and the thinking before it; either may be empty.

    Servers without a reasoning parser leave `<think>…</think>` at the start of the text, or only
    its end where the chat template writes the start (Qwen3-Thinking, DeepSeek-R1). A missing end
    means that the model was still thinking.
    """
    text = text.strip()
    has_begin = text.startswith(_BEGIN)
    reasoning, end, caption = text.removeprefix(_BEGIN).partition(_END)
    if end and (has_begin or _BEGIN not in reasoning):
        return caption.strip(), reasoning.strip()
    return ("", reasoning.strip()) if has_begin and not end else (text, "")
