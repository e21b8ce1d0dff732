"""Computes a run's totals and percentiles from its outcomes; pure (main process)."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from captionfleet.measures import Measurements, Percentiles
from captionfleet.messages import Caption, Outcome
from captionfleet.sink.footage import left_out_s
from captionfleet.sink.media_tokens import MediaTokens

__all__ = ["RunStatistics"]

_LATENCIES = (
    "decode_s", "encode_s", "prepare_s", "queue_s", "upload_s", "ttft_s", "request_s", "total_s",
)  # fmt: skip
_OF_CLIPS = frozenset({"decode_s", "encode_s", "prepare_s"})  # once for all of its requests
_MAX_FINISH_REASONS = 20


class _FirstCaptions:
    """Finds the first caption of a clip among those of its requests, which may fail.

    Remembers the clips of which some requests have not ended.
    """

    def __init__(self) -> None:
        self._left: dict[tuple[str, tuple[str, ...]], tuple[int, bool]] = {}

    def is_first(self, outcome: Outcome) -> bool:
        """Whether this is a caption, and the clip's first."""
        clip = outcome.clip
        key, is_caption = (clip.clip_id, clip.requests), isinstance(outcome, Caption)
        left, has_one = self._left.pop(key, (len(clip.requests), False))
        if left > 1:
            self._left[key] = left - 1, has_one or is_caption
        return is_caption and not has_one


class RunStatistics:
    """Statistics of the outcomes, in memory that does not grow with their number.

    Args:
        media_tokens: What each deployment should report, by its name.
        observe: Called with every outcome, and whether it is the first caption of its clip.
        failed_before: Whether an earlier run left a clip failed, by its id and the request.
    """

    def __init__(
        self,
        media_tokens: Mapping[str, MediaTokens] | None = None,
        observe: Callable[[Outcome, bool], None] | None = None,
        failed_before: Callable[[str, str], bool] = lambda *_: False,
    ) -> None:
        self._failed_before = failed_before
        self.new_failures = 0
        self._observe = observe
        self._firsts = _FirstCaptions()
        self._media_tokens = media_tokens or {}
        self.captioned = 0
        self.failed = 0
        self.attempts = 0
        self.source_s = 0.0
        self.films_cut = 0
        self.left_out_s = 0.0
        self.payload_bytes = 0
        self.failures_by_code: Counter[str] = Counter()
        self.finish_reasons: Counter[str] = Counter()
        self.deployments: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self._latencies = {name: Measurements() for name in _LATENCIES}

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        is_first = self._firsts.is_first(outcome)
        if self._observe is not None:
            self._observe(outcome, is_first)
        self.attempts += len(outcome.attempts)
        if isinstance(outcome, Caption):
            self._add_caption(outcome, is_first=is_first)
        else:
            self.failed += 1
            self.new_failures += not self._failed_before(outcome.clip.clip_id, outcome.request)
            self.failures_by_code[outcome.code.value] += 1

    def latencies(self) -> dict[str, Percentiles | None]:
        """Percentiles under the names that a captions line has."""
        return {name: measured.percentiles() for name, measured in self._latencies.items()}

    def cut_to_window(self) -> dict[str, float]:
        """Films of which only the first window was captioned, and the footage left out."""
        footage_s = self.source_s + self.left_out_s
        return {
            "films": self.films_cut,
            "left_out_s": round(self.left_out_s, 3),
            "share": round(self.left_out_s / footage_s, 4) if footage_s else 0.0,
        }

    def media_tokens(self) -> dict[str, dict[str, Any]]:
        """Media tokens reported and expected, for deployments that can be compared."""
        reports = {name: one.report() for name, one in self._media_tokens.items()}
        return {name: report for name, report in reports.items() if report is not None}

    def _add_caption(self, caption: Caption, *, is_first: bool) -> None:
        self.captioned += 1
        if caption.request:
            self.requests[caption.request] += 1
        facts, clip = caption.facts, caption.clip
        if is_first:
            self.source_s += clip.video_s(facts.source_s)
            rest_s = left_out_s(caption)
            self.films_cut += rest_s > 0
            self.left_out_s += rest_s
        self.payload_bytes += facts.payload_bytes
        self.deployments[caption.deployment] += 1
        if caption.deployment in self._media_tokens:
            self._media_tokens[caption.deployment].add(caption)
        self.finish_reasons[self._bounded_reason(caption.finish_reason)] += 1
        for name, measured in self._latencies.items():
            seconds = getattr(caption.latency, name)
            if seconds is not None and (is_first or name not in _OF_CLIPS):
                measured.add(seconds)

    def _bounded_reason(self, reason: str) -> str:
        # Servers choose the word, so there could be as many words as clips.
        is_known = reason in self.finish_reasons or len(self.finish_reasons) < _MAX_FINISH_REASONS
        return reason[:40] if is_known else "other"
