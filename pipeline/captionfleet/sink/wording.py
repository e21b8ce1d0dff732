"""Formats a run's figures for the terminal and for mail; pure (main process)."""

from collections.abc import Iterator, Mapping
from typing import Any

from captionfleet import text
from captionfleet.sink.ending import (
    GO_ON,
    copied_to,
    copy_behind,
    cut_in_words,
    noun_of,
    skipped_in_words,
)

__all__ = ["mail_line", "report_text"]

_LABEL_CHARS = 14
_VALUES_FOR = {"p50": 1, "p90": 10, "p99": 100, "max": 1, "mean": 1}


def mail_line(run: Mapping[str, Any]) -> str:
    """One line of counts, failures, duration and tokens.

    Skipped clips are counted by reason.
    """
    tokens = run["prompt_tokens"] + run["completion_tokens"]
    codes = f" ({_counts(run['failures_by_code'])})" if run["failed"] else ""
    parts = [f"{run['captioned']:,} captioned", f"{run['failed']:,} failed{codes}"]
    parts += skipped_in_words(run)
    parts += [text.seconds(run["seconds"]), f"{text.short(tokens)} tokens"]
    if run["unfinished"]:
        parts.append(f"{run['unfinished']:,} unfinished")
    if cut := cut_in_words(run):
        parts.append(f"left out {cut}")
    if copy_behind(run):
        parts.append("its copy is not current")
    if run["ended"] != "complete":
        parts.append(f"ended by {_end(run)}")
    again = f": {GO_ON}" if run["ended"] in {"signal", "limit"} else ""
    return f"captionfleet: {', '.join(parts)}{again}"


def report_text(run: Mapping[str, Any]) -> str:
    """All figures of a run; `run` has the keys of run.json."""
    return "\n".join(f"{label:<{_LABEL_CHARS}}{row}".rstrip() for label, row in _rows(run))


def _rows(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "run", f"{_end(run)}, exit code {run['exit_code']}, {text.seconds(run['seconds'])}"
    yield noun_of(run), _figures(run, "planned", "captioned", "failed", "unfinished")
    if run["already_captioned"] or run["standing_failures"]:
        yield "before", _figures(run, "already_captioned", "standing_failures")
    if run["passed_over"]:
        yield "passed over", _counts(run["passed_over"])
    if run["failed"]:
        yield "failures", _counts(run["failures_by_code"])
    yield (
        "rate",
        (
            f"{run['clips_per_s']:.3g} {noun_of(run)}/s, "
            f"{run['source_hours_per_hour']:.3g} source hours per hour"
        ),
    )
    if cut := cut_in_words(run):
        yield "left out", f"{cut}: --segments all captions it"
    yield (
        "tokens",
        (
            f"{text.short(run['prompt_tokens'])} in ({run['prompt_tokens_per_s']:,.0f}/s), "
            f"{text.short(run['completion_tokens'])} out ({run['completion_tokens_per_s']:,.0f}/s)"
        ),
    )
    yield from _latency_rows(run["latency"])
    yield "time", _workers(run["time_share"], run["seconds"])
    yield "", _in_flight(run["time_share"], run["retries"])
    yield from _nodes(run)
    yield "bottleneck", _bottleneck(run["bottleneck"])
    if run["deployments"]:
        yield "captions by", _counts(run["deployments"])
    yield from _warnings(run)
    if to := copied_to(run):
        yield "copied to", to
    if run["finish_reasons"]:
        yield "ended with", _counts(run["finish_reasons"])
    if run["torn_lines_repaired"]:
        yield "repaired", f"{run['torn_lines_repaired']} torn line(s) of a run that was killed"
    if run.get("ignored_lines"):  # older runs lack it
        yield "warning", f"{run['ignored_lines']:,} line(s) of captions.jsonl name no clip"


def _warnings(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, why in run.get("refusing", {}).items():
        yield "warning", f"{name} {why}"
    for name, tokens in run["media_tokens"].items():
        if tokens["remark"]:
            yield "warning", f"{name}: {_media_warning(tokens)}"
    if behind := copy_behind(run):
        yield "warning", behind


def _figures(run: Mapping[str, Any], *keys: str) -> str:
    return ", ".join(f"{run[key]:,} {key.replace('_', ' ')}" for key in keys)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _latency_rows(latency: Mapping[str, Mapping[str, float] | None]) -> Iterator[tuple[str, str]]:
    columns = ("p50", "p90", "p99", "max", "mean")
    yield "latency", "".join(f"{column:>9}" for column in columns)
    for name, spread in latency.items():
        if spread:
            cells = "".join(_cell(spread, column) for column in columns)
            yield f"  {name.removesuffix('_s')}", cells


def _cell(spread: Mapping[str, float], column: str) -> str:
    """One percentile, if there are enough values for it."""
    if spread.get("count", _VALUES_FOR[column]) < _VALUES_FOR[column]:
        return f"{text.UNKNOWN:>9}"
    return f"{spread[column]:>7.2f} s"


def _workers(share: Mapping[str, float], seconds: float) -> str:
    processes = round(share["workers_s"] / seconds)
    return f"{processes} worker(s) busy {share['workers_busy']:.0%}"


def _nodes(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    label = "nodes"
    for name, node in run.get("nodes", {}).items():
        done = f"{node['clips']:,} clips, {node['failed']:,} failed"
        yield label, f"{name}: {done}, {text.seconds(node['cpu_s'])} of CPU"
        label = ""
    if lost := run.get("lost_with_nodes"):
        yield label, f"{lost:,} clips prepared again, as they did not come back from their node"


def _in_flight(share: Mapping[str, float], retries: int) -> str:
    mean, most = share["mean_in_flight"], share["max_in_flight"]
    return f"{mean:.1f} requests in flight on average, {most:.0f} at most, {retries:,} retries"


def _end(run: Mapping[str, Any]) -> str:
    limit = run["limit"]
    return f"limit {limit}" if limit and limit != run["ended"] else str(run["ended"])


def _bottleneck(bottleneck: Mapping[str, Any]) -> str:
    limit = bottleneck["limit"]
    other = "deployments" if limit == "cores" else "cores"
    return f"{limit} ({bottleneck[limit]:.0%} busy; {other} {bottleneck[other]:.0%})"


def _media_warning(tokens: Mapping[str, Any]) -> str:
    share = max(0.0, tokens["told"] / tokens["expected"])  # the text's share is an estimate
    return (
        f"{share:.0%} of the media tokens that {tokens['profile']} takes, {tokens['remark']}: "
        "see captionfleet check"
    )
