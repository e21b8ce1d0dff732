"""Builds the run summary: counts, rates and where the time went; pure (main process)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from captionfleet.config import JobConfig
from captionfleet.config.withheld import written_settings
from captionfleet.measures import Percentiles
from captionfleet.sink.accounts import check_accounts
from captionfleet.sink.ending import ending_text
from captionfleet.sink.stats import RunStatistics
from captionfleet.sink.wording import mail_line, report_text
from captionfleet.telemetry import Tally, utc_now

__all__ = ["Ended", "Ending", "RunSummary", "summarise"]

Ended = Literal["complete", "signal", "limit", "error"]
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The facts about a run's end besides its counts.

    Attributes:
        limit: which limit ended it, if one did.
        refusing: what is wrong with deployments that refused requests to the end.
        place_seconds: places at deployments, times the seconds for which each was there.
        exit_code: None for 0 if no clip stands failed, and 1 otherwise.
        copy: where a copy of the folder is kept, and whether it is current; empty: nowhere.
    """

    ended: Ended
    started_at_utc: str
    limit: str | None = None
    refusing: Mapping[str, str] = field(default_factory=dict)
    torn_lines_repaired: int = 0
    ignored_lines: int = 0
    place_seconds: float = 0.0
    exit_code: int | None = None
    copy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run in figures, as run.json holds them.

    `source_hours_per_hour` is the hours of video captioned (at most the clip's window each) per
    hour of wall-clock time. `cut_to_window` counts films of which only the first window was
    captioned, with the seconds left out and their share of the run's footage. `time_share` shows
    where the time went: worker seconds busy, out of processes times wall-clock time; request
    seconds in flight, which divided by the wall-clock time is their mean number; and the sums of
    the clips' own latencies.

    `bottleneck` is the one that was busier relative to its capacity, "cores" or "deployments", with
        the utilisation of each; that of deployments is requests in flight over those that their
        windows allowed. `deployments` counts captions, as does `requests` where requests have
        names; clips then count once for each request. `media_tokens` compares what deployments
        report with what the media sent should cost, for known models.

    `refusing` says what is wrong with deployments that refused requests at the end. `limit` names
    the limit that ended the run, if one did. `ignored_lines` of captions.jsonl name no clip.
    `planned` counts clips that the run took up, `expected` all that it found to caption, which is
    more where it was stopped early. `new_failures` are those of clips without an earlier failure.
    `confinement` is the worker processes' confinement as they report it; None: none ran. `nodes`
    says what each node of a cluster did, by address; empty on a single machine. `lost_with_nodes`
    counts clips that were lost with a node and prepared again.
    `copy` says where a copy of the folder is kept, whether it is current, its time, and what is
    wrong with it; empty without `copy_to`.
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
    copy: Mapping[str, Any]
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def exit_code_of_news(self) -> int:
        """The exit code, but 0 where the only failures are those of earlier runs."""
        is_old = self.exit_code == 1 and self.ended == "complete" and not self.new_failures
        return 0 if is_old else self.exit_code

    def as_dict(self) -> dict[str, Any]:
        """All values, for run.json."""
        return asdict(self)

    def text(self, *, verbose: bool = False) -> str:
        """A few lines for people; `verbose` adds all figures."""
        lines = ending_text(self.as_dict())
        return f"{lines}\n\n{report_text(self.as_dict())}" if verbose else lines

    def __repr__(self) -> str:
        """A short form: the whole would fill the screen of a notebook."""
        return f"<RunSummary {self.mail_line()}>"

    def mail_line(self) -> str:
        """One line, for the subject of a mail or a chat message."""
        return mail_line(self.as_dict())


def summarise(
    tally: Tally, statistics: RunStatistics, job: JobConfig, ending: Ending
) -> RunSummary:
    """Build the run summary.

    Raises:
        RuntimeError: the counts do not add up, which is a bug of this program.
    """
    seconds = max(tally.elapsed_s(), 1e-9)
    latency = statistics.latencies()
    lines = {"captions": statistics.captioned, "failures": statistics.failed}
    check_accounts(tally, **lines, ended=ending.ended)
    stands_failed = int(bool(tally.failed or tally.standing_failures))
    processes = job.workers.processes
    return RunSummary(
        exit_code=stands_failed if ending.exit_code is None else ending.exit_code,
        ended=ending.ended,
        limit=ending.limit,
        started_at_utc=ending.started_at_utc,
        ended_at_utc=utc_now(),
        seconds=seconds,
        clips_per_s=tally.captioned / seconds,
        prompt_tokens_per_s=tally.prompt_tokens / seconds,
        completion_tokens_per_s=tally.completion_tokens / seconds,
        source_hours_per_hour=statistics.source_s / seconds,
        latency=latency,
        time_share=_time_share(tally, latency, seconds, processes),
        bottleneck=_bottleneck(tally, seconds * processes, ending.place_seconds),
        refusing=ending.refusing,
        torn_lines_repaired=ending.torn_lines_repaired,
        ignored_lines=ending.ignored_lines,
        copy=ending.copy,
        settings=written_settings(job),
        **_counted(tally),
        **_measured(statistics),
    )


def _counted(tally: Tally) -> dict[str, Any]:
    """Figures that the run's tally counted."""
    return {
        "planned": tally.planned,
        "expected": max(tally.planned, tally.expected or 0),
        "captioned": tally.captioned,
        "failed": tally.failed,
        "unfinished": tally.planned - tally.settled,
        "already_captioned": tally.already_captioned,
        "standing_failures": tally.standing_failures,
        "passed_over": {str(reason): n for reason, n in tally.passed_over.most_common()},
        "prompt_tokens": tally.prompt_tokens,
        "completion_tokens": tally.completion_tokens,
        "cached_tokens": tally.cached_tokens,
        "retries": tally.retries,
        "hedges": tally.hedges,
        "hedges_won": tally.hedges_won,
        "confinement": tally.confinement,
        "nodes": {name: asdict(figures) for name, figures in sorted(tally.nodes.items())},
        "lost_with_nodes": tally.lost_with_nodes,
    }


def _measured(statistics: RunStatistics) -> dict[str, Any]:
    """Figures measured from the outcomes."""
    return {
        "failures_by_code": dict(statistics.failures_by_code.most_common()),
        "new_failures": statistics.new_failures,
        "source_hours": statistics.source_s / _HOUR_S,
        "cut_to_window": statistics.cut_to_window(),
        "payload_bytes": statistics.payload_bytes,
        "attempts": statistics.attempts,
        "finish_reasons": dict(statistics.finish_reasons.most_common()),
        "deployments": dict(statistics.deployments.most_common()),
        "requests": dict(statistics.requests.most_common()),
        "media_tokens": statistics.media_tokens(),
    }


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
