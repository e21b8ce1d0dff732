"""What `CAPTIONFLEET_DEBUG=1` shows: where errors come from, what workers say (any process)."""

import os
import sys
import traceback

__all__ = ["is_debugging", "show_causes"]

_VARIABLE = "CAPTIONFLEET_DEBUG"


def is_debugging() -> bool:
    """Whether causes are to be shown, which may hold names and settings, but no key."""
    return os.environ.get(_VARIABLE, "") not in {"", "0"}


def show_causes(error: BaseException) -> None:
    """Print the whole way of an error to stderr, with the errors that it was translated from."""
    at: BaseException | None = error
    while at is not None:
        at.__suppress_context__ = False  # as `raise … from None` has set it
        at = at.__cause__ or at.__context__
    sys.stderr.write("".join(traceback.format_exception(error)))
