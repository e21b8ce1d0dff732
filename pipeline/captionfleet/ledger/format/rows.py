"""What becomes a line: an outcome, with what only the folder knows; pure (main process)."""

from dataclasses import dataclass

from captionfleet.messages import Caption, Clip, Failure

__all__ = ["CaptionRow", "FailureRow"]


@dataclass(frozen=True, slots=True)
class CaptionRow:
    """What becomes a captions line; `fingerprint` names the request."""

    caption: Caption
    fingerprint: str
    completed_at_utc: str

    @property
    def clip(self) -> Clip:
        """Whose line it is."""
        return self.caption.clip

    @property
    def request(self) -> str:
        """Its request's name."""
        return self.caption.request


@dataclass(frozen=True, slots=True)
class FailureRow:
    """What becomes a failures line."""

    failure: Failure
    failed_at_utc: str

    @property
    def clip(self) -> Clip:
        """Whose line it is."""
        return self.failure.clip

    @property
    def request(self) -> str:
        """Its request's name."""
        return self.failure.request
