"""Combines an outcome with facts that only the folder knows, for its line; pure (main)."""

from dataclasses import dataclass

from captionfleet.messages import Caption, Clip, Failure

__all__ = ["CaptionRow", "FailureRow"]


@dataclass(frozen=True, slots=True)
class CaptionRow:
    """The content of a captions line; `fingerprint` identifies the request."""

    caption: Caption
    fingerprint: str
    completed_at_utc: str

    @property
    def clip(self) -> Clip:
        """The clip of the line."""
        return self.caption.clip

    @property
    def request(self) -> str:
        """The request's name."""
        return self.caption.request


@dataclass(frozen=True, slots=True)
class FailureRow:
    """The content of a failures line."""

    failure: Failure
    failed_at_utc: str

    @property
    def clip(self) -> Clip:
        """The clip of the line."""
        return self.failure.clip

    @property
    def request(self) -> str:
        """The request's name."""
        return self.failure.request
