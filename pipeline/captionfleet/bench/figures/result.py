"""Holds the results of a bench, and writes them as JSON and as a table; pure (main process)."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from captionfleet.bench.figures.knee import Knee
from captionfleet.bench.figures.point import Point
from captionfleet.ledger.format.bench_file import stamped
from captionfleet.measures import Percentiles
from captionfleet.messages import for_terminal

__all__ = ["BenchResult", "DeploymentResult", "brief"]

_UNUSABLE = 4
_COLUMNS = (
    ("load", 9), ("requests", 8), ("clips/s", 9), ("±95%", 7), ("good/s", 8), ("src h/h", 8),
    ("tok in/s", 10), ("out/s", 7), ("p50 s", 8), ("p90 s", 8), ("p99 s", 8), ("TTFT s", 8),
    ("upload", 7), ("errors", 7), ("cores", 6), ("lag ms", 7),
)  # fmt: skip


@dataclass(slots=True)
class DeploymentResult:
    """One deployment: its loads in the order of measuring, and its knee if one was found.

    Attributes:
        changed_at: Place of the first point since the deployment changed during the search; those
            before it are out of date.
    """

    name: str
    model: str
    points: list[Point] = field(default_factory=list)
    knee: Knee | None = None
    changed_at: int = 0

    @property
    def answers(self) -> bool:
        """Whether the last load brought a caption."""
        return bool(self.points and self.points[-1].captions)

    @property
    def is_gone(self) -> bool:
        """Whether the last two loads brought none, so that further ones would not either."""
        return len(self.points) > 1 and not any(point.captions for point in self.points[-2:])

    def at(self, in_flight: int) -> Point | None:
        """The latest point with this number in flight."""
        return next((p for p in reversed(self.points) if p.in_flight == in_flight), None)


@dataclass(slots=True, kw_only=True)
class BenchResult:
    """A whole bench; `is_complete` is False if it was interrupted."""

    seed: int
    started_at_utc: str
    machine: dict[str, Any]
    media: dict[str, Any]
    settings: dict[str, Any]
    prepare: dict[str, Any] | None
    deployments: list[DeploymentResult] = field(default_factory=list)
    is_complete: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The JSON of the result; times in seconds, rates per second."""
        return stamped(asdict(self))

    @property
    def exit_code(self) -> int:
        """0; 1 if a deployment no longer answers; 4 if no deployment brought a caption."""
        if not any(point.captions for one in self.deployments for point in one.points):
            return _UNUSABLE
        return int(not all(one.answers for one in self.deployments))

    def text(self) -> str:
        """The results for people."""
        words = [_summary_of(one) for one in self.deployments if one.points]
        if len(names := self.settings.get("requests", ())) > 1:
            words.append(
                f"Each clip got the requests {', '.join(names)} in turn: clips/s counts captions."
            )
        if not self.is_complete:
            words.append("Interrupted: some loads were not measured.")
        return "\n\n".join(words)


def brief(point: Point) -> str:
    """One load in a few words, shown while the next one is measured."""
    load = f"{point.in_flight} in flight" if point.in_flight else f"{_arrivals(point)} arriving"
    remarks = _remarks(point)
    return f"{load}: {point.clips_per_s:.3g} clips/s" + (f" ({remarks})" if remarks else "")


def _arrivals(point: Point) -> str:
    return f"{point.arrivals_per_s or 0:.3g}/s"


def _heading() -> str:
    return " ".join(title.rjust(width) for title, width in _COLUMNS)


def _row(point: Point) -> str:
    ttft = point.ttft_s.p50 if point.ttft_s else None
    request = point.request_s
    cells = (
        f"{point.in_flight}" if point.in_flight else _arrivals(point),
        f"{point.requests}",
        f"{point.clips_per_s:.3g}",
        f"{point.clips_per_s_error:.2g}",
        f"{point.goodput_per_s:.3g}",
        f"{point.source_hours_per_hour:.3g}",
        f"{point.prompt_tokens_per_s:,.0f}",
        f"{point.completion_tokens_per_s:,.0f}",
        *_percentiles(request),
        "-" if ttft is None else f"{ttft:.3g}",
        "-" if point.upload_share is None else f"{point.upload_share:.0%}",
        f"{point.error_share:.1%}" if point.errors else "0",
        f"{point.client.cores:.2f}",
        f"{1000 * point.client.loop_lag_p99_s:.1f}",
    )
    line = " ".join(cell.rjust(width) for cell, (_, width) in zip(cells, _COLUMNS, strict=True))
    return f"{line}  {_remarks(point)}".rstrip()


def _percentiles(spread: Percentiles | None) -> tuple[str, str, str]:
    if spread is None:
        return "-", "-", "-"
    return f"{spread.p50:.3g}", f"{spread.p90:.3g}", f"{spread.p99:.3g}"


def _remarks(point: Point) -> str:
    remarks = {
        "not steady": not point.is_steady,
        "more arrive than are answered": point.is_overloaded,
        f"{point.unsent} unsent (--max-in-flight)": point.unsent > 0,
        "the client was the limit": point.is_client_limit,
        f"{point.cached_share:.0%} of the prompt cached": point.cached_share > 0.05,  # noqa: PLR2004
        _errors(point): point.errors > 0,
    }
    return "; ".join(words for words, is_so in remarks.items() if is_so)


def _summary_of(result: DeploymentResult) -> str:
    lines = [f"{result.name} ({result.model})", *_table(result)]
    if result.knee is not None:
        lines.append(_knee_line(result, result.knee))
    if not result.answers:
        given_up = " Given up after two such loads." if result.is_gone else ""
        lines.append(f"No caption at the last load: {_errors(result.points[-1])}.{given_up}")
    lines += _replica_lines(result)
    costs_ms = [1000 * point.client_cpu_s_per_request for point in result.points if point.requests]
    if costs_ms:
        lines.append(
            f"The client itself: {min(costs_ms):.1f} to {max(costs_ms):.1f} ms of CPU a request; "
            "cores and lag (p99 of the event loop) stand beside each load."
        )
    return "\n".join(lines)


def _table(result: DeploymentResult) -> Iterator[str]:
    yield _heading()
    yield from map(_row, _in_order(result.points[result.changed_at :]))
    if result.changed_at:
        yield "Before the deployment changed:"
        yield from map(_row, _in_order(result.points[: result.changed_at]))


def _in_order(points: Sequence[Point]) -> list[Point]:
    return sorted(points, key=lambda one: (one.in_flight or 1e9, one.arrivals_per_s or 0.0))


def _errors(point: Point) -> str:
    return ", ".join(f"{n} {code}" for code, n in point.errors_by_code.items()) or "no answer"


def _knee_line(result: DeploymentResult, knee: Knee) -> str:
    point = result.at(knee.in_flight)
    words = (
        f"Knee: {knee.in_flight} in flight bring {knee.clips_per_s:.3g} clips/s"
        f"{_hours(knee, point)}, 95 % of the best or more."
    )
    if not knee.is_end:
        words += " The rate was still rising at the ceiling: try more (--max-in-flight)."
    if knee.changed:
        words += " The deployment changed meanwhile; this is its state at the end."
    if point is not None and point.is_client_limit:
        words += " The client was the limit there: the deployment may take more."
    return words


def _hours(knee: Knee, point: Point | None) -> str:
    if point is None or not point.clips_per_s:
        return ""
    hours = knee.clips_per_s * point.source_hours_per_hour / point.clips_per_s
    return f", {hours:.3g} source hours an hour"


def _replica_lines(result: DeploymentResult) -> list[str]:
    """Shares of the last load, where more than one replica gave its name."""
    named = result.points[-1].replicas if result.points else {}
    if len(named) < 2:  # noqa: PLR2004 - one replica has no comparison
        return []
    words = ", ".join(f"{name} {rate:.3g}" for name, rate in named.items())
    return [for_terminal(f"Replicas at the last load, clips/s: {words}.")]
