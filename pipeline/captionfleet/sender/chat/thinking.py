"""What a model thought before its caption, where it stands in the text itself (main; pure)."""

__all__ = ["without_thinking"]

_BEGIN, _END = "<think>", "</think>"


def without_thinking(text: str) -> tuple[str, str]:
    """The caption, and the reasoning before it; either may be empty.

    Servers without a reasoning parser leave `<think>…</think>` at the text's start, and only its
    end where the chat template has written the beginning (Qwen3-Thinking, DeepSeek-R1). An end that
    never comes means that the model was still thinking.
    """
    text = text.strip()
    has_begin = text.startswith(_BEGIN)
    reasoning, end, caption = text.removeprefix(_BEGIN).partition(_END)
    if end and (has_begin or _BEGIN not in reasoning):
        return caption.strip(), reasoning.strip()
    return ("", reasoning.strip()) if has_begin and not end else (text, "")
