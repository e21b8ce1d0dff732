"""Which of two captions of a clip is kept."""

from itertools import chain, combinations

from captionfleet.sender.chat.again import is_worse
from captionfleet.sender.chat.quality import DEGENERATE, REFUSED, TRUNCATED, UNKNOWN_FINISH

FLAGS = (TRUNCATED, UNKNOWN_FINISH, DEGENERATE, REFUSED)
ALL = list(chain.from_iterable(combinations(FLAGS, size) for size in range(len(FLAGS) + 1)))


def test_only_a_flag_that_the_first_lacks_makes_the_second_worse() -> None:
    """Equal ones are not worse, and a whole or cut-off caption never is."""
    for first in ALL:
        assert not is_worse(first, first)
        assert not is_worse((), first)
        assert not is_worse((TRUNCATED,), first)
        assert is_worse((*first, REFUSED), first) == (REFUSED not in first)
        assert is_worse((DEGENERATE,), first) == (DEGENERATE not in first)
