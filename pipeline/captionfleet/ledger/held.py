"""Holds outcomes that are paid for and have no line yet (main process)."""

from captionfleet.messages import Outcome

__all__ = ["Held"]


class Held:
    """Outcomes on their way to their line, at most one for each clip and request.

    A stream loses what waits in it when its tasks are cancelled; whatever is here then is written
    at the end. Never more outcomes than the sender has lanes and the streams have places.
    """

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, str], Outcome] = {}

    def add(self, outcome: Outcome) -> None:
        """Hold an outcome, in place of an earlier one of its clip and request."""
        self._outcomes[outcome.clip.clip_id, outcome.request] = outcome

    def discard(self, outcome: Outcome) -> None:
        """Hold no outcome of this clip and request any longer: its line is written."""
        self._outcomes.pop((outcome.clip.clip_id, outcome.request), None)

    def rest(self) -> list[Outcome]:
        """The outcomes without a line, in the order in which they came."""
        return list(self._outcomes.values())
