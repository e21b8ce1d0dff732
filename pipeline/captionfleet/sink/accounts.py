"""Checks that a run's counts add up: every clip ends exactly once; pure (main process)."""

from captionfleet.telemetry import Tally

__all__ = ["check_accounts"]


def check_accounts(tally: Tally, *, captions: int, failures: int, ended: str) -> None:
    """Compare the clips planned, the clips ended and the lines written.

    Raises:
        RuntimeError: they differ, which is a bug of this program.
    """
    unfinished = tally.planned - tally.settled
    is_counted = (tally.captioned, tally.failed) == (captions, failures)
    if unfinished < 0 or not is_counted or (unfinished and ended == "complete"):
        raise RuntimeError(
            f"accounts do not add up: {tally.planned} planned, {tally.captioned} captioned, "
            f"{tally.failed} failed; lines: {captions} and {failures}"
        )
