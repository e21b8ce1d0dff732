"""Defines the sample that is recorded for each request of a bench; pure (main process)."""

from dataclasses import dataclass

from captionfleet.errors import FailureCode

__all__ = ["Sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request; times on the monotonic clock.

    Attributes:
        code: Why there is no caption; None if there is one.
        replica: The server's own name for the replica that answered, if it gives one.
        clip_s: Seconds of video that the clip covers.
    """

    started_s: float
    ended_s: float
    code: FailureCode | None = None
    ttft_s: float | None = None
    upload_s: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    clip_s: float = 0.0
    payload_bytes: int = 0
    replica: str | None = None

    @property
    def request_s(self) -> float:
        """From the start of the request to its last byte."""
        return self.ended_s - self.started_s

    def share_within(self, from_s: float, to_s: float) -> float:
        """The share of this request that lies between two times, 0 to 1."""
        if self.request_s <= 0:
            return float(from_s <= self.ended_s < to_s)
        overlap_s = min(self.ended_s, to_s) - max(self.started_s, from_s)
        return max(overlap_s, 0.0) / self.request_s
