"""Tabulates what each deployment did in the last run; pure (main process)."""

from collections.abc import Mapping
from typing import Any

from captionfleet import text
from captionfleet.ledger.files.reading import number_in, table_in, text_in
from captionfleet.measures import Histogram
from captionfleet.report import charts
from captionfleet.report.survey import Group, Survey

__all__ = ["deployments_table"]

_MAX_ROWS, _MAX_CODES, _MAX_MODEL_CHARS, _MAX_NAME_CHARS = 50, 20, 200, 300


def deployments_table(run: dict[str, Any], survey: Survey) -> dict[str, Any]:
    """A row for each of the busiest deployments, and how many are left out."""
    found = run.get("fleet")
    fleet = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    known = {text_in(one, "name"): one for one in fleet}
    names = sorted(
        {*known, *survey.deployments}, key=lambda name: (-_busy(name, known, survey), name)
    )
    run_s = number_in(run, "seconds") or 0.0
    most = max((_busy(name, known, survey) for name in names), default=1) or 1
    rows = [
        _deployment(name, known.get(name, {}), survey.deployments.get(name, Group()), run_s, most)
        for name in names[:_MAX_ROWS]
    ]
    return {"rows": rows, "left_out": max(0, len(names) - _MAX_ROWS)}


def _busy(name: str, known: Mapping[str, dict[str, Any]], survey: Survey) -> float:
    captions = survey.deployments.get(name, Group()).captions
    return max(captions, number_in(known.get(name, {}), "requests") or 0)


def _deployment(
    name: str, record: dict[str, Any], group: Group, run_s: float, most: float
) -> dict[str, Any]:
    errors = {
        str(code)[:_MAX_NAME_CHARS]: int(number)
        for code in list(table_in(record, "errors"))[:_MAX_CODES]
        if (number := number_in(table_in(record, "errors"), code)) is not None
    }
    failed = sum(errors.values())
    return {
        "name": name[:_MAX_NAME_CHARS],
        "model": text_in(record, "model")[:_MAX_MODEL_CHARS],
        "requests": number_in(record, "requests"),
        "captions": group.captions,
        "errors": errors,
        "failed": failed,
        "ejections": number_in(record, "ejections"),
        "window": _last_window(record),
        "request": _p50_p99(group.request),
        "first_token": _p50_p99(group.first_token),
        "tokens_per_s": text.share(group.completion_tokens, run_s),
        "bar": charts.stack(
            [("good", group.captions), ("bad", failed)],
            whole=most,
            label=f"{group.captions} captions, {failed} errors",
        ),
    }


def _last_window(record: dict[str, Any]) -> float | None:
    """The last window in the history of (since when, size)."""
    history = record.get("window")
    match history[-1:] if isinstance(history, list) else None:
        case [[_, size]]:
            return number_in({"size": size}, "size")
    return None


def _p50_p99(spread: Histogram) -> tuple[float, float | None] | None:
    return (spread.percentile(0.5), spread.percentile_or_none(0.99)) if spread.count else None
