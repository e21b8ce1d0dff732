"""Totals, rates and percentiles of a run; pure (main process)."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from captionfleet.config import JobConfig
from captionfleet.config.withheld import written_settings
from captionfleet.measures import Measurements, Percentiles
from captionfleet.messages import Caption, Outcome
from captionfleet.sink.accounts import check_accounts
from captionfleet.sink.ending import ending_text
from captionfleet.sink.footage import left_out_s
from captionfleet.sink.media_tokens import MediaTokens
from captionfleet.sink.wording import mail_line, report_text
from captionfleet.telemetry import Tally, utc_now

__all__ = ["Ended", "RunStatistics", "RunSummary", "summarise"]

Ended = Literal["complete", "signal", "limit", "error"]

_LATENCIES = (
    "decode_s", "encode_s", "prepare_s", "queue_s", "upload_s", "ttft_s", "request_s", "total_s",
)  # fmt: skip
_OF_CLIPS = frozenset({"decode_s", "encode_s", "prepare_s"})  # once for all of its requests
_MAX_FINISH_REASONS = 20
_HOUR_S = 3600.0


class RunStatistics:
    """What the outcomes say, in memory that does not grow with their number.

    Args:
        media_tokens: What each deployment should report, by its name.
        observe: Is told every outcome, too.
        failed_before: Whether an earlier run left a clip failed, by its id and the request.
    """

    def __init__(
        self,
        media_tokens: Mapping[str, MediaTokens] | None = None,
        observe: Callable[[Outcome], None] | None = None,
        failed_before: Callable[[str, str], bool] = lambda *_: False,
    ) -> None:
        self._failed_before = failed_before
        self.new_failures = 0
        self._observe = observe
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
        if self._observe is not None:
            self._observe(outcome)
        self.attempts += len(outcome.attempts)
        if isinstance(outcome, Caption):
            self._add_caption(outcome)
        else:
            self.failed += 1
            self.new_failures += not self._failed_before(outcome.clip.clip_id, outcome.request)
            self.failures_by_code[outcome.code.value] += 1

    def latencies(self) -> dict[str, Percentiles | None]:
        """By the names they have in a captions line."""
        return {name: measured.percentiles() for name, measured in self._latencies.items()}

    def cut_to_window(self) -> dict[str, float]:
        """Films of which only the first window was captioned, and what of the footage that left."""
        footage_s = self.source_s + self.left_out_s
        return {
            "films": self.films_cut,
            "left_out_s": round(self.left_out_s, 3),
            "share": round(self.left_out_s / footage_s, 4) if footage_s else 0.0,
        }

    def media_tokens(self) -> dict[str, dict[str, Any]]:
        """Tokens of media, told against expected, by deployment; those that can be compared."""
        reports = {name: one.report() for name, one in self._media_tokens.items()}
        return {name: report for name, report in reports.items() if report is not None}

    def _add_caption(self, caption: Caption) -> None:
        self.captioned += 1
        if caption.request:
            self.requests[caption.request] += 1
        facts, clip = caption.facts, caption.clip
        if caption.is_first:
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
            if seconds is not None and (caption.is_first or name not in _OF_CLIPS):
                measured.add(seconds)

    def _bounded_reason(self, reason: str) -> str:
        # A server chooses the word, so there may be as many as clips.
        is_known = reason in self.finish_reasons or len(self.finish_reasons) < _MAX_FINISH_REASONS
        return reason[:40] if is_known else "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run in figures, as run.json holds them.

    `source_hours_per_hour`: hours of video captioned (at most the clip's window each) in one
    hour of wall clock. `cut_to_window`: films of which only the first window was captioned, what
    was left out of them, and its share of all footage of the run. `time_share` says where the time
    went: seconds that workers were busy, of processes times wall clock; seconds that requests were
    in flight, which divided by the wall clock gives their mean number; and the sums of the clips'
    own latencies.
    `bottleneck`: which of the two was busier for the time it had, "cores" or "deployments", and
    the utilisation of each; of deployments that is requests in flight of those their windows
    allowed. `deployments` counts captions, and so does `requests` where requests have names; clips
    are then counted once for each request. `media_tokens` sets what deployments report against what
    the media sent should come to, for models that are known. `refusing` says what
    is wrong with deployments that refused requests to the end. `limit` names the limit that ended
    the run, if one did. `ignored_lines` of captions.jsonl name no clip.
    `planned` are the clips that the run turned to, `expected` all that it found to caption: more,
    where it was stopped early.
    `new_failures` are those of clips that no earlier run left failed.
    `confinement` is what the worker processes are under, as they report it; None: none ran.
    `nodes` says what each node of a cluster did, by its address; empty where all ran on this
    machine. `lost_with_nodes` counts clips that did not come back, and were prepared again.
    """

    exit_code: int
    ended: Ended
    limit: str | None
    started_at_utc: str
    ended_at_utc: str
    seconds: float
    planned: int
    expected: int
    captioned: int
    failed: int
    unfinished: int
    already_captioned: int
    standing_failures: int
    passed_over: Mapping[str, int]
    failures_by_code: Mapping[str, int]
    new_failures: int
    clips_per_s: float
    source_hours: float
    source_hours_per_hour: float
    cut_to_window: Mapping[str, float]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    prompt_tokens_per_s: float
    completion_tokens_per_s: float
    payload_bytes: int
    attempts: int
    retries: int
    hedges: int
    hedges_won: int
    latency: Mapping[str, Percentiles | None]
    time_share: Mapping[str, float]
    bottleneck: Mapping[str, str | float]
    finish_reasons: Mapping[str, int]
    deployments: Mapping[str, int]
    requests: Mapping[str, int]
    media_tokens: Mapping[str, Mapping[str, Any]]
    refusing: Mapping[str, str]
    torn_lines_repaired: int
    ignored_lines: int
    confinement: str | None
    nodes: Mapping[str, Mapping[str, Any]]
    lost_with_nodes: int
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def exit_code_of_news(self) -> int:
        """The exit code, but 0 where only clips stand failed that an earlier run left so."""
        is_old = self.exit_code == 1 and self.ended == "complete" and not self.new_failures
        return 0 if is_old else self.exit_code

    def as_dict(self) -> dict[str, Any]:
        """Everything, for run.json."""
        return asdict(self)

    def text(self, *, verbose: bool = False) -> str:
        """Five lines or so for people; `verbose` adds all figures."""
        lines = ending_text(self.as_dict())
        return f"{lines}\n\n{report_text(self.as_dict())}" if verbose else lines

    def __repr__(self) -> str:
        """In a few words: the whole would fill the screen of a notebook."""
        return f"<RunSummary {self.mail_line()}>"

    def mail_line(self) -> str:
        """One line, for the subject of a mail or a chat message."""
        return mail_line(self.as_dict())


def summarise(  # noqa: PLR0913 - what else is known of a run, by keyword
    tally: Tally,
    statistics: RunStatistics,
    job: JobConfig,
    *,
    ended: Ended,
    started_at_utc: str,
    limit: str | None = None,
    refusing: Mapping[str, str] | None = None,
    torn_lines_repaired: int = 0,
    ignored_lines: int = 0,
    place_seconds: float = 0.0,
    exit_code: int | None = None,
) -> RunSummary:
    """Draw the bottom line; without `exit_code`, 0 if no clip stands failed, else 1.

    Raises:
        RuntimeError: the counts do not add up, which is a bug of this program.
    """
    seconds = max(tally.elapsed_s(), 1e-9)
    latency = statistics.latencies()
    lines = {"captions": statistics.captioned, "failures": statistics.failed}
    check_accounts(tally, **lines, ended=ended)
    stands_failed = bool(tally.failed or tally.standing_failures)
    return RunSummary(
        exit_code=int(stands_failed) if exit_code is None else exit_code,
        ended=ended,
        limit=limit,
        started_at_utc=started_at_utc,
        ended_at_utc=utc_now(),
        seconds=seconds,
        planned=tally.planned,
        expected=max(tally.planned, tally.expected or 0),
        captioned=tally.captioned,
        failed=tally.failed,
        unfinished=tally.planned - tally.settled,
        already_captioned=tally.already_captioned,
        standing_failures=tally.standing_failures,
        passed_over={str(reason): n for reason, n in tally.passed_over.most_common()},
        failures_by_code=dict(statistics.failures_by_code.most_common()),
        new_failures=statistics.new_failures,
        clips_per_s=tally.captioned / seconds,
        source_hours=statistics.source_s / _HOUR_S,
        source_hours_per_hour=statistics.source_s / seconds,
        cut_to_window=statistics.cut_to_window(),
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        cached_tokens=tally.cached_tokens,
        prompt_tokens_per_s=tally.prompt_tokens / seconds,
        completion_tokens_per_s=tally.completion_tokens / seconds,
        payload_bytes=statistics.payload_bytes,
        attempts=statistics.attempts,
        retries=tally.retries,
        hedges=tally.hedges,
        hedges_won=tally.hedges_won,
        latency=latency,
        time_share=_time_share(tally, latency, seconds, job.workers.processes),
        bottleneck=_bottleneck(tally, seconds * job.workers.processes, place_seconds),
        finish_reasons=dict(statistics.finish_reasons.most_common()),
        deployments=dict(statistics.deployments.most_common()),
        requests=dict(statistics.requests.most_common()),
        media_tokens=statistics.media_tokens(),
        refusing=refusing or {},
        torn_lines_repaired=torn_lines_repaired,
        ignored_lines=ignored_lines,
        confinement=tally.confinement,
        nodes={name: asdict(figures) for name, figures in sorted(tally.nodes.items())},
        lost_with_nodes=tally.lost_with_nodes,
        settings=written_settings(job),
    )


def _bottleneck(
    tally: Tally, worker_seconds: float, place_seconds: float
) -> dict[str, str | float]:
    cores = tally.workers_busy_s / worker_seconds
    deployments = tally.in_flight_s / place_seconds if place_seconds else 0.0
    return {
        "limit": "cores" if cores >= deployments else "deployments",
        "cores": round(min(cores, 1.0), 3),
        "deployments": round(min(deployments, 1.0), 3),
    }


def _time_share(
    tally: Tally, latency: Mapping[str, Percentiles | None], seconds: float, processes: int
) -> dict[str, float]:
    sums = {name: spread.sum if spread else 0.0 for name, spread in latency.items()}
    return {
        "workers_busy_s": tally.workers_busy_s,
        "workers_s": processes * seconds,
        "workers_busy": tally.workers_busy_s / (processes * seconds),
        "in_flight_s": tally.in_flight_s,
        "mean_in_flight": tally.in_flight_s / seconds,
        "max_in_flight": tally.max_in_flight,
        "prepare_s": sums["prepare_s"],
        "queue_s": sums["queue_s"],
        "request_s": sums["request_s"],
    }
