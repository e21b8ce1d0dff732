"""Computes what the page shows above the gallery: figures, charts, tables; pure (main process)."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from captionfleet import text
from captionfleet.ledger.files.reading import number_in, table_in, text_in
from captionfleet.ledger.past_runs import job_table_in
from captionfleet.measures import Histogram
from captionfleet.report import charts
from captionfleet.report.cards import card_id
from captionfleet.report.deployments import deployments_table
from captionfleet.report.failed import by_detail, meaning_of
from captionfleet.report.nodes import nodes_table
from captionfleet.report.settings import settings_rows
from captionfleet.report.stages import STAGES, stages_of
from captionfleet.report.survey import Folder, Survey

__all__ = ["view_of"]

_BINS = 48
_MAX_NAME_CHARS = 300
_SATURATED, _MANY = 0.6, 200


def view_of(folder: Folder, survey: Survey, slowest: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Every value for the template, except for the gallery.

    Args:
        folder: the output folder and its last run.
        survey: the counts.
        slowest: the captions lines that took longest, the slowest first.
    """
    return {
        "run": _run(folder.run, survey) | {"unended_since": _clock(folder.unended_since_utc)},
        "figures": _figures(folder.run, survey),
        "bottleneck": _bottleneck(folder.run),
        "stages": _stages(survey),
        "mean_bar": _mean_bar(survey),
        "tokens": _tokens(folder.run, survey),
        "codes": _codes(survey),
        "slowest": [_slow(line, slowest) for line in slowest],
        "deployments": deployments_table(folder.run, survey),
        "nodes": nodes_table(folder.run),
        "settings": settings_rows(folder.run),
        "failed": _failed_in_words(survey),
        "counts": {
            "captioned": survey.captioned,
            "captioned_run": survey.captioned_run,
            "failed": survey.failed,
            "flagged": survey.flagged,
        },
    }


def _run(run: dict[str, Any], survey: Survey) -> dict[str, Any]:
    return {
        "is_known": bool(run),
        "ending": _ending(run, survey),
        "exit_code": number_in(run, "exit_code"),
        "error": text_in(run, "error")[:_MAX_NAME_CHARS],
        "started": _clock(text_in(run, "started_at_utc")),
        "ended_at": _clock(text_in(run, "ended_at_utc")),
        "seconds": number_in(run, "seconds"),
    }


_ENDINGS = {"complete": "finished", "error": "gave up", "signal": "stopped by a signal"}


def _ending(run: dict[str, Any], survey: Survey) -> str:
    """The end of the last run, for people."""
    ended, limit = text_in(run, "ended"), text_in(run, "limit")
    stop = f"stopped at the limit {limit}" if limit and limit != ended else f"stopped at a {ended}"
    how = stop if ended == "limit" else _ENDINGS.get(ended, ended or "ended")
    failed, planned = number_in(run, "failed"), number_in(run, "planned")
    if planned == 0:
        return f"{how}: nothing was left to caption"
    of = f" of {text.count(planned)}" if planned is not None else ""
    done = "captions there" if survey.has_names else "clips captioned"
    counts = f"{text.count(survey.captioned_run)}{of} {done}"
    return f"{how}: {counts}" + (f", {text.count(failed)} failed" if failed else "")


def _failed_in_words(survey: Survey) -> str:
    one, more = ("caption", "captions") if survey.has_names else ("clip", "clips")
    return f"{text.count(survey.failed)} {one if survey.failed == 1 else more}"


def _clock(utc: str) -> str:
    return utc[:19].replace("T", " ")


def _figures(run: dict[str, Any], survey: Survey) -> list[tuple[str, str, str]]:
    """Rows of label, figure, and small print."""

    def of(key: str) -> float | None:
        return number_in(run, key)

    planned = of("planned")
    others = survey.captioned - survey.captioned_run
    here = "all of this folder; " if others else ""
    unfinished = of("unfinished") or 0
    return [
        (
            "captioned",
            text.count(survey.captioned_run),
            (f"of {text.count(planned)} planned" if planned is not None else "in this folder")
            + (f", {text.count(unfinished)} unfinished" if unfinished else "")
            + (f", {text.count(others)} by other runs" if others else ""),
        ),
        ("failed", text.count(survey.failed), _and_more(len(survey.codes), "code")),
        ("flagged", text.count(survey.flagged), "to look at"),
        *_left_out(survey),
        ("rate", f"{text.short(of('clips_per_s'))}/s", survey.noun),
        ("source hours", text.short(of("source_hours_per_hour")), "per hour"),
        (
            "tokens in",
            text.short(survey.prompt_tokens),
            f"{here}{text.short(of('prompt_tokens_per_s'))}/s in the run",
        ),
        (
            "tokens out",
            text.short(survey.completion_tokens),
            f"{here}{text.short(of('completion_tokens_per_s'))}/s in the run",
        ),
        ("payload", text.size(survey.payload_bytes), "base64, sent once each"),
        ("retries", text.count(of("retries")), f"{text.count(of('attempts'))} requests"),
    ]


def _left_out(survey: Survey) -> list[tuple[str, str, str]]:
    films = survey.footage.films_cut
    if not films:
        return []
    share, longer = text.percent(survey.footage.left_out), _and_more(films, "film")
    return [("left out", share, f"of the footage: {longer} longer than a clip")]


def _and_more(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _bottleneck(run: dict[str, Any]) -> dict[str, Any] | None:
    found = table_in(run, "bottleneck")
    cores, deployments = number_in(found, "cores"), number_in(found, "deployments")
    if cores is None or deployments is None or not (cores or deployments):
        return None  # unknown, or nothing to do
    limit = "cores" if text_in(found, "limit") == "cores" else "deployments"
    workers = number_in(job_table_in(run, "workers"), "processes")
    return {
        "limit": limit,
        "is_saturated": max(cores, deployments) >= _SATURATED,
        "meters": [
            ("cores", cores, f"{text.count(workers)} workers preparing clips"),
            ("deployments", deployments, "of the request places in use"),
        ],
    }


def _stages(survey: Survey) -> list[dict[str, Any]]:
    """A row for every stage, and one for the total."""
    known = [spread for spread in [*survey.stages.values(), survey.total] if spread.count]
    low = min((max(spread.min, 1e-4) for spread in known), default=1e-3)
    high = max((spread.max for spread in known), default=1.0)
    high = max(high, low * 10)
    rows = [_stage(name, survey.stages[name], low, high) for name in STAGES]
    return [*rows, _stage("total", survey.total, low, high)]


def _stage(name: str, spread: Histogram, low: float, high: float) -> dict[str, Any]:
    bins = _BINS if spread.count >= _MANY else _BINS // 2
    counts = spread.counts(low, high, bins) if spread.count else []
    label = f"{name}: half below {text.seconds(spread.percentile(0.5))}"
    return {
        "name": name,
        "class": _class(name),
        "what": STAGES.get(name, "preparing, waiting and asking, end to end"),
        "count": spread.count,
        "cells": [spread.percentile_or_none(share) for share in (0.5, 0.9, 0.99)]
        + [spread.max, spread.mean]
        if spread.count
        else None,
        "chart": charts.bars(
            [(_class(name), counts)], top=max(counts, default=1), slots=bins, label=label
        ),
        "low": low,
        "high": high,
    }


def _class(name: str) -> str:
    return f"s-{name.replace(' ', '-')}"


def _mean_bar(survey: Survey) -> Markup | None:
    """A mean clip's time in stages; a stage that a clip lacks counts as 0."""
    clips = survey.captioned_run
    if not clips:
        return None
    parts = [(name, spread.sum / clips) for name, spread in survey.stages.items()]
    stages = ", ".join(f"{name} {text.seconds(value)}" for name, value in parts)
    whole = sum(value for _, value in parts)
    return charts.stack([(_class(n), v) for n, v in parts], whole=whole, label=f"mean: {stages}")


def _tokens(run: dict[str, Any], survey: Survey) -> list[dict[str, Any]]:
    kinds = (
        ("in", survey.prompt, survey.prompt_tokens, "prompt_tokens_per_s"),
        ("out", survey.completion, survey.completion_tokens, "completion_tokens_per_s"),
    )
    return [
        {
            "name": name,
            "total": total,
            "rate": number_in(run, rate),
            "cells": [
                spread.percentile_or_none(0.5),
                spread.percentile_or_none(0.9),
                spread.max,
                spread.mean,
            ],
            "chart": charts.bars(
                [("s-rest", counts := spread.counts(spread.min, spread.max + 1, _BINS))],
                top=max(counts),
                slots=_BINS,
                label=f"tokens {name}: half of the clips below {spread.percentile(0.5):.0f}",
            ),
            "low": spread.min,
            "high": spread.max,
            "cached": survey.cached_tokens if name == "in" else None,
        }
        for name, spread, total, rate in kinds
        if spread.count
    ]


def _codes(survey: Survey) -> list[dict[str, Any]]:
    most = survey.codes.most_common()
    return [
        {
            "code": code[:_MAX_NAME_CHARS],
            "count": count,
            "permanence": meaning_of(code)[0],
            "meaning": meaning_of(code)[1],
            "bar": charts.stack([("bad", count)], whole=most[0][1], label=f"{count} of {code}"),
            "details": [
                (
                    detail,
                    [(text_in(one, "source")[:_MAX_NAME_CHARS], card_id(one)) for one in lines],
                )
                for detail, lines in by_detail(survey.examples[code]).items()
            ],
        }
        for code, count in most
    ]


def _slow(line: dict[str, Any], slowest: Sequence[dict[str, Any]]) -> dict[str, Any]:
    stages = [(name, value or 0.0) for name, value in stages_of(line).items()]
    longest = number_in(table_in(slowest[0], "latency"), "total_s") or 1.0
    worst = max(stages, key=lambda stage: stage[1])
    return {
        "id": card_id(line),
        "source": text_in(line, "source")[:_MAX_NAME_CHARS],
        "total_s": number_in(table_in(line, "latency"), "total_s"),
        "worst": worst[0],
        "worst_s": worst[1],
        "deployment": text_in(line, "deployment")[:_MAX_NAME_CHARS],
        "attempts": number_in(line, "attempts"),
        "bar": charts.stack(
            [(_class(name), value) for name, value in stages],
            whole=longest,
            label=", ".join(f"{name} {text.seconds(value)}" for name, value in stages),
        ),
    }
