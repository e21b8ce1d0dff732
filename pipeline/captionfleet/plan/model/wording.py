"""Words a plan for people, and writes it as JSON; pure (main process)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from captionfleet.messages import for_terminal
from captionfleet.plan.model.ahead import Ahead
from captionfleet.plan.model.predict import Estimate, Prediction, Pricing
from captionfleet.plan.model.reference import Library, Reference
from captionfleet.plan.model.search import Limits, Plan, Verdict
from captionfleet.text import three_digits

__all__ = ["Answer"]

_LABEL_CHARS = 12
_MINUTE_S, _HOUR_S = 60.0, 3600.0
_COLUMNS = ("replicas", "cores", "time", "at most", "GPU-hours", "cost", "at most", "limited by")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A plan and its basis; `price_note` names the source of the price."""

    plan: Plan
    reference: Reference
    library: Library
    limits: Limits
    pricing: Pricing
    price_note: str
    now: datetime
    ahead: Ahead | None = None

    def as_dict(self) -> dict[str, Any]:
        """All values of the text, unrounded."""
        return {
            "kind": "captionfleet-plan",
            "version": 1,
            "made_at": self.now.isoformat(timespec="seconds"),
            "reference": {
                "label": self.reference.label,
                "clips": self.reference.clips,
                "captions": self.reference.captions,
                "requests": [name for name in self.reference.requests if name],
            },
            "library": {
                "label": self.library.label,
                "clips": self.library.clips,
                "captions": self.library.clips * self.reference.per_clip,
                "unusable": self.library.unusable,
                "mean_clip_s": self.library.mean_seconds,
                "films": self.library.films,
                "headers_read": self.library.headers_read,
                "is_sample": self.library.is_sample,
            },
            "limits": asdict(self.limits),
            "pricing": asdict(self.pricing) | {"note": self.price_note},
            "verdict": self.plan.verdict.value,
            "binding": self.plan.binding,
            "plan": _record(self.plan.chosen),
            "prepare_ahead": self._ahead_record(),
            "alternatives": [_record(other) for other in self.plan.others],
            "notes": list(self.notes()),
        }

    def text(self) -> str:
        """The plan for people."""
        rows = [
            for_terminal(f"{label:<{_LABEL_CHARS}}{words}".rstrip())
            for label, words in self._rows()
        ]
        table = ["", *self._table()] if self.plan.others else []
        notes = [for_terminal(f"- {note}") for note in self.notes()]
        return "\n".join([*rows, *table, *(["", *notes] if notes else [])])

    def notes(self) -> Iterator[str]:
        """What limits the trust in the plan."""
        yield from self.reference.notes
        yield from self.library.notes
        yield from self._strange_codecs()
        chosen = self.plan.chosen
        simulated = chosen.outlook.simulated_clips
        if simulated < self.library.clips:
            yield (
                f"{simulated:,} clips were simulated; the rest is extrapolated at the "
                f"{chosen.outlook.clips_per_s:.3g} clips/s of their middle"
            )
        if self.library.is_sample:
            yield f"the headers of {self.library.headers_read:,} files were read, a random sample"

    def _strange_codecs(self) -> Iterator[str]:
        worker_time, mix = self.reference.worker_time, self.library.mix
        if worker_time is None:
            return
        strange = [clip.codec for clip in mix if not worker_time.knows(clip.codec)]
        if strange:
            names = ", ".join(sorted(set(strange)))
            yield (
                f"{len(strange) / len(mix):.0%} of the library is {names}, which the reference "
                "does not have: worker times for it are a guess"
            )

    def _rows(self) -> Iterator[tuple[str, str]]:
        chosen, plan = self.plan.chosen, self.plan
        yield "library", self._library()
        if self.reference.per_clip > 1:
            yield "captions", self._captions()
        yield "reference", self._reference()
        yield "replicas", self._replicas(chosen)
        is_known = self.reference.worker_time is not None
        yield "cores", f"{chosen.fleet.cores:,}" if is_known else "not known"
        yield "time", f"{_range(chosen.seconds, _duration)}, done {self._done(chosen)}"
        yield "GPU-hours", _range(chosen.gpu_hours, _hours)
        yield (
            "tokens",
            (
                f"{_range(chosen.prompt_tokens, three_digits)} in, "
                f"{_range(chosen.completion_tokens, three_digits)} out"
            ),
        )
        yield "cost", f"{_range(chosen.usd, _usd)}, {self.price_note}"
        yield "bottleneck", _bottleneck(chosen)
        if chosen.payload_bytes:
            rate = chosen.payload_bytes / max(chosen.seconds.expected, 1e-9)
            yield (
                "upload",
                f"{three_digits(chosen.payload_bytes)}B, {three_digits(rate)}B/s on average",
            )
        if self.ahead is not None:
            yield "cheaper", _prepare_first(self.ahead)
        if plan.verdict is not Verdict.KEPT:
            yield "", ""
            yield "NOT KEPT", f"the {_KEPT_BY[plan.verdict]}; what is above comes closest"
            yield "in the way", plan.binding

    def _ahead_record(self) -> dict[str, Any] | None:
        if self.ahead is None:
            return None
        return asdict(self.ahead) | {"sending": _record(self.ahead.sending)}

    def _library(self) -> str:
        hours = self.library.clips * self.library.mean_seconds / _HOUR_S
        what = f"windows of {films:,} films," if (films := self.library.films) else "clips of"
        unusable = (
            f", {self.library.unusable:,} more cannot be used" if self.library.unusable else ""
        )
        return (
            f"{self.library.clips:,} {what} {self.library.mean_seconds:.1f} s on average "
            f"({hours:,.1f} h){unusable}"
        )

    def _captions(self) -> str:
        names, number = self.reference.requests, self.library.clips * self.reference.per_clip
        return f"{number:,}, {len(names)} of each clip: {', '.join(names)}"

    def _reference(self) -> str:
        label, clips, captions = (
            self.reference.label, self.reference.clips, self.reference.captions,
        )  # fmt: skip
        if self.reference.per_clip == 1 and captions == clips:
            return f"{label}, {clips:,} clips"
        return f"{label}, {captions:,} captions of {clips:,} clips"

    def _replicas(self, chosen: Prediction) -> str:
        gpus = self.pricing.gpus_per_replica
        cold = f", {self.pricing.cold_start_s:.0f} s to start" if self.pricing.cold_start_s else ""
        return f"{chosen.fleet.replicas:,} (of {gpus} GPU{'s' if gpus > 1 else ''} each{cold})"

    def _done(self, chosen: Prediction) -> str:
        try:
            # In the time zone of that day: daylight saving time may change before it.
            done = (self.now + timedelta(seconds=chosen.seconds.expected)).astimezone()
        except (OverflowError, ValueError):
            return "never"
        return f"{done:%Y-%m-%d %H:%M} if started now"

    def _table(self) -> Iterator[str]:
        every = sorted(
            (self.plan.chosen, *self.plan.others),
            key=lambda one: (one.fleet.replicas, one.fleet.cores),
        )
        rows = [_COLUMNS, *(_cells(one) for one in every)]
        widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
        for row, one in zip(rows, (None, *every), strict=True):
            cells = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            yield f"{cells}  <" if one is self.plan.chosen else cells


def _cells(one: Prediction) -> Sequence[str]:
    return (
        f"{one.fleet.replicas:,}",
        "-" if math.isnan(one.outlook.cores) else f"{one.fleet.cores:,}",
        _duration(one.seconds.expected),
        _duration(one.seconds.high),
        _hours(one.gpu_hours.expected),
        _usd(one.usd.expected),
        _usd(one.usd.high),
        one.outlook.bottleneck,
    )


def _record(one: Prediction) -> dict[str, Any]:
    record = asdict(one)
    outlook = record.pop("outlook")
    busy = {name: None if math.isnan(outlook[name]) else outlook[name] for name in _BUSY}
    return {
        **record,
        "bottleneck": {"limit": one.outlook.bottleneck, **busy},
        "clips_per_s": outlook["clips_per_s"],
        "simulated_clips": outlook["simulated_clips"],
    }


_BUSY = ("cores", "deployments")
_KEPT_BY = {Verdict.DEADLINE: "deadline", Verdict.MONEY: "limit of money"}


def _bottleneck(one: Prediction) -> str:
    limit, outlook = one.outlook.bottleneck, one.outlook
    if math.isnan(outlook.cores):
        return f"{limit} ({outlook.deployments:.0%} busy; cores not known)"
    busy = {"cores": outlook.cores, "deployments": outlook.deployments}
    other = "deployments" if limit == "cores" else "cores"
    return f"{limit} ({busy[limit]:.0%} busy; {other} {busy[other]:.0%})"


def _prepare_first(ahead: Ahead) -> str:
    sending = ahead.sending
    return (
        f"captionfleet prepare first ({_duration(ahead.prepare_s)}, a store of "
        f"{three_digits(ahead.media_bytes)}B), then the replicas for "
        f"{_duration(sending.seconds.expected)}: {_usd(sending.usd.expected)}, "
        f"{_usd(ahead.saved_usd)} less"
    )


def _range(value: Estimate, shown: Any) -> str:
    return f"{shown(value.expected)} ({shown(value.low)} to {shown(value.high)})"


def _duration(seconds: float) -> str:
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h"


def _hours(hours: float) -> str:
    if 0 < hours < 0.01:  # noqa: PLR2004 - half a minute
        return "<0.01"
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"  # noqa: PLR2004 - digits


def _usd(usd: float) -> str:
    return f"${usd:,.0f}" if usd >= 100 else f"${usd:.2f}"  # noqa: PLR2004 - digits
