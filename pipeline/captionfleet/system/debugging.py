"""Shows the causes of an error when CAPTIONFLEET_DEBUG=1 is set (any process)."""

import os
import sys
import traceback

__all__ = ["is_debugging", "show_causes"]

_VARIABLE = "CAPTIONFLEET_DEBUG"


def is_debugging() -> bool:
    """Whether causes are shown; they may hold names and settings, but never a key."""
    return os.environ.get(_VARIABLE, "") not in {"", "0"}


def show_causes(error: BaseException) -> None:
    """Print the traceback of an error, with every error that it was translated from."""
    at: BaseException | None = error
    while at is not None:
        at.__suppress_context__ = False  # set by `raise … from None`
        at = at.__cause__ or at.__context__
    sys.stderr.write("".join(traceback.format_exception(error)))
