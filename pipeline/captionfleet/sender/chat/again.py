"""Decides which answers are requested a second time, and how; pure (main process)."""

from collections.abc import Collection

from captionfleet.config import RequestConfig
from captionfleet.sender.chat.answers import Answer
from captionfleet.sender.chat.quality import DEGENERATE, REFUSED, TRUNCATED, flags_of

__all__ = ["is_unwanted", "is_worse", "is_worth_another", "tokens_for"]


_SAYS_LITTLE = frozenset({DEGENERATE, REFUSED})


def is_unwanted(answer: Answer, request: RequestConfig) -> bool:
    """Whether the answer is a refusal that the job does not keep, or is cut off inside its JSON."""
    is_useless = request.on_refusal == "fail" or request.response_schema is not None
    flags = flags_of(answer.text, answer.finish_reason, is_refused=answer.is_refused)
    return is_useless and REFUSED in flags


def is_worth_another(flags: Collection[str], request: RequestConfig) -> bool:
    """Whether to ask again for a caption with these flags; it is kept if the next is not better."""
    is_again = request.on_refusal == "retry" and REFUSED in flags
    return DEGENERATE in flags or is_again or tokens_for(flags, request) is not None


def is_worse(flags: Collection[str], first: Collection[str]) -> bool:
    """Whether the second caption says less than the first: it is repetitive or refused, unlike it.

    A caption that is cut off says more than either.
    """
    return not _SAYS_LITTLE.intersection(flags) <= set(first)


def tokens_for(flags: Collection[str], request: RequestConfig) -> int | None:
    """The max_tokens of that second request; None for the job's."""
    return request.retry_truncated_tokens if TRUNCATED in flags else None
