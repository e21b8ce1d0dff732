"""Whether a run's counts add up, as every clip ends once; pure (main process)."""

from captionfleet.telemetry import Tally

__all__ = ["check_accounts"]


def check_accounts(tally: Tally, *, captions: int, failures: int, ended: str) -> None:
    """Compare what was planned, what ended, and the lines that were written.

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
