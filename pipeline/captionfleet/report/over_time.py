"""Charts the run over time, one row for each deployment; pure (main process)."""

from collections.abc import Callable, Collection, Sequence
from itertools import zip_longest
from typing import Any

from captionfleet import text
from captionfleet.ledger.files.reading import number_in, table_in
from captionfleet.report import charts

__all__ = ["over_time"]

_MAX_ROWS = 12
_MAX_SLOTS, _FEWEST_SLOTS = 240, 24
_CAPTIONS_A_SLOT = 4
_MAX_NAME_CHARS = 200

Column = list[float | None]


def over_time(timeline: dict[str, Any]) -> dict[str, Any] | None:
    """A row of three charts for all deployments together and for each of the busiest.

    None where the timeline is empty.
    """
    bucket_s = number_in(timeline, "bucket_s")
    records = table_in(timeline, "deployments")
    series = {name: _series(table_in(records, name)) for name in records}
    slots = max((len(one["captions"]) for one in series.values()), default=0)
    if not bucket_s or bucket_s <= 0 or not slots:
        return None
    seconds, each = slots * bucket_s, _joined_slots(series.values(), slots)
    series = {name: _coarser(one, each) for name, one in series.items()}
    slots, bucket_s = -(-slots // each), bucket_s * each
    busiest = sorted(series, key=lambda name: (-_sum(series[name]["captions"]), name))
    rows = {name[:_MAX_NAME_CHARS]: series[name] for name in busiest[:_MAX_ROWS]}
    tops = {False: _tops([*rows.values()], bucket_s)}
    if len(series) > 1:
        together = _together([*series.values()], slots)
        rows = {"": together} | rows
        tops[True] = _tops([together], bucket_s)
    return {
        "seconds": seconds,
        "bucket_s": bucket_s,
        "left_out": max(0, len(series) - _MAX_ROWS),
        "rows": [_row(name, one, slots, bucket_s, tops[not name]) for name, one in rows.items()],
    }


def _joined_slots(series: Collection[dict[str, Column]], slots: int) -> int:
    """How many steps of the timeline to merge, so that a rate is of several captions."""
    captions = sum(_sum(one["captions"]) for one in series)
    each = 1
    while slots >= 2 * each * _FEWEST_SLOTS and captions * each < _CAPTIONS_A_SLOT * slots:
        each *= 2
    return each


def _coarser(series: dict[str, Column], each: int) -> dict[str, Column]:
    """Sum counts and average gauges over this many steps."""

    def joined(column: Column, *, is_gauge: bool) -> Column:
        runs = (column[at : at + each] for at in range(0, len(column), each))
        known = ([value for value in run if value is not None] for run in runs)
        return [sum(run) / (len(run) if is_gauge else 1) if run else None for run in known]

    gauges = {"in_flight", "window"}
    return {name: joined(column, is_gauge=name in gauges) for name, column in series.items()}


def _series(record: dict[str, Any]) -> dict[str, Column]:
    names = ("captions", "refusals", "errors", "in_flight", "window")
    return {name: _numbers(record.get(name)) for name in names}


def _numbers(values: object) -> Column:
    kept = values[:_MAX_SLOTS] if isinstance(values, list) else []
    return [number_in({"": value}, "") for value in kept]


def _together(series: Sequence[dict[str, Column]], slots: int) -> dict[str, Column]:
    def total(name: str, slot: int) -> float | None:
        known = [
            value
            for one in series
            if slot < len(one[name]) and (value := one[name][slot]) is not None
        ]
        return sum(known) if known else None

    return {name: [total(name, slot) for slot in range(slots)] for name in series[0]}


def _tops(series: Sequence[dict[str, Column]], bucket_s: float) -> dict[str, float]:
    """The upper ends of the axes, common to all rows."""

    def most(values: Callable[[dict[str, Column]], list[float]]) -> float:
        return max((value for one in series for value in values(one)), default=0.0)

    def wrong(one: dict[str, Column]) -> list[float]:
        pairs = zip_longest(_known(one["refusals"]), _known(one["errors"]), fillvalue=0.0)
        return [refusals + errors for refusals, errors in pairs]

    return {
        "rate": charts.nice_ceiling(most(lambda one: _known(one["captions"])) / bucket_s),
        "flight": charts.nice_ceiling(
            most(lambda one: [*_known(one["in_flight"]), *_known(one["window"])])
        ),
        "wrong": charts.nice_ceiling(most(wrong)),
    }


def _row(
    name: str, series: dict[str, Column], slots: int, bucket_s: float, tops: dict[str, float]
) -> dict[str, Any]:
    rates = [None if value is None else value / bucket_s for value in series["captions"]]
    refusals, errors = _known(series["refusals"]), _known(series["errors"])
    label = name or "all deployments"
    fastest = text.short(max(_known(rates), default=0))
    most = text.short(max(_known(series["in_flight"]), default=0))
    return {
        "name": name,
        "captions": _sum(series["captions"]),
        "refusals": sum(refusals),
        "errors": sum(errors),
        "tops": tops,
        "rate": charts.steps(
            rates,
            top=tops["rate"],
            slots=slots,
            label=f"{label}: captions per second, at most {fastest}",
        ),
        "flight": charts.steps(
            series["in_flight"],
            series["window"],
            top=tops["flight"],
            slots=slots,
            label=f"{label}: requests in flight, at most {most}, below the window",
        ),
        "wrong": charts.bars(
            [("warn", refusals), ("bad", errors)],
            top=tops["wrong"],
            slots=slots,
            label=f"{label}: {sum(refusals):.0f} refusals and {sum(errors):.0f} errors",
        ),
    }


def _known(column: Column) -> list[float]:
    return [value or 0.0 for value in column]


def _sum(column: Column) -> float:
    return sum(_known(column))
