"""What is odd about a caption that came whole (main process; pure)."""

from captionfleet.sender.chat.finish import LENGTH, STOP

__all__ = ["DEGENERATE", "TRUNCATED", "UNKNOWN_FINISH", "flags_of"]

TRUNCATED = "truncated"
"""The model was still writing when max_tokens was reached."""
UNKNOWN_FINISH = "unknown_finish"
"""The server gave no finish reason, or one that is not known: the caption may be cut off."""
DEGENERATE = "degenerate"
"""The caption ends in one phrase over and over, as models do when they lose the thread."""

_LONGEST_PHRASE_WORDS = 50
_REPEATS = 5
_MOST_WORDS = 4000


def flags_of(text: str, finish_reason: str) -> tuple[str, ...]:
    """The flags of a caption, in a stable order; none for nearly all."""
    ended: tuple[str, ...] = () if finish_reason == STOP else (UNKNOWN_FINISH,)
    ended = (TRUNCATED,) if finish_reason == LENGTH else ended
    return ended + ((DEGENERATE,) if _is_degenerate(text) else ())


def _is_degenerate(text: str) -> bool:
    """Whether a phrase repeats at the end at least five times, and fills half of the text.

    A last repetition may be cut off, as max_tokens cuts it.
    """
    words = text.split()[-_MOST_WORDS:]
    longest = min(_LONGEST_PHRASE_WORDS, len(words) // _REPEATS)
    return any(
        2 * run >= len(words) and run >= _REPEATS * period
        for period in range(1, longest + 1)
        for run in (_periodic_words(words, period),)
    )


def _periodic_words(words: list[str], period: int) -> int:
    """How many words at the end repeat with this period."""
    at = len(words) - 1
    while at >= period and words[at] == words[at - period]:
        at -= 1
    return len(words) - 1 - at + period
