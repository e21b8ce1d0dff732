"""Flags captions that are complete but odd: truncated, repetitive, refused; pure (main process)."""

from captionfleet.sender.chat.finish import LENGTH, STOP, is_filtered
from captionfleet.sender.chat.refusal import is_refusal

__all__ = ["DEGENERATE", "REFUSED", "TRUNCATED", "UNKNOWN_FINISH", "flags_of"]

TRUNCATED = "truncated"
"""The model was still writing when max_tokens was reached."""
UNKNOWN_FINISH = "unknown_finish"
"""The server gave no finish reason, or one that is not known: the caption may be cut off."""
DEGENERATE = "degenerate"
"""The caption ends in one phrase, repeated over and over."""

REFUSED = "refused"
"""The model or a filter refused: the text is the refusal, or ends where the filter cut it."""

_LONGEST_PHRASE_WORDS = 50
_REPEATS = 5
_MOST_WORDS = 4000


def flags_of(text: str, finish_reason: str, *, is_refused: bool = False) -> tuple[str, ...]:
    """The flags of a caption, in a stable order; nearly all captions have none.

    `is_refused` means that the server marked it; otherwise a refusal is recognised by its
    beginning.
    """
    is_ended = finish_reason == STOP or is_filtered(finish_reason)
    ended: tuple[str, ...] = () if is_ended else (UNKNOWN_FINISH,)
    ended = (TRUNCATED,) if finish_reason == LENGTH else ended
    degenerate = (DEGENERATE,) if _is_degenerate(text) else ()
    return ended + degenerate + ((REFUSED,) if is_refused or is_refusal(text) else ())


def _is_degenerate(text: str) -> bool:
    """Whether a phrase repeats at least five times at the end, and fills half of the text.

    The last repetition may be cut off, as by max_tokens.
    """
    words = text.split()[-_MOST_WORDS:]
    longest = min(_LONGEST_PHRASE_WORDS, len(words) // _REPEATS)
    return any(
        2 * run >= len(words) and run >= _REPEATS * period
        for period in range(1, longest + 1)
        for run in (_periodic_words(words, period),)
    )


def _periodic_words(words: list[str], period: int) -> int:
    """The number of words at the end that repeat with this period."""
    at = len(words) - 1
    while at >= period and words[at] == words[at - period]:
        at -= 1
    return len(words) - 1 - at + period
