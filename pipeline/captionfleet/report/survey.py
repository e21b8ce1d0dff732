"""Counts everything in an output folder for the report, in one pass (main process, in a thread)."""

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captionfleet import text
from captionfleet.ledger.files.names import CAPTIONS, FAILURES, TIMELINE
from captionfleet.ledger.files.reading import (
    Line,
    measure_in,
    number_in,
    read_lines,
    read_object,
    table_in,
    text_in,
)
from captionfleet.ledger.past_runs import job_table_in, read_run, unended_since
from captionfleet.measures import Histogram
from captionfleet.report.choice import Choice, Sample
from captionfleet.report.flags import flags_of, is_flagged
from captionfleet.report.footage import Footage
from captionfleet.report.stages import STAGES, stages_of

__all__ = ["Folder", "Group", "Survey", "open_folder", "take_survey"]

_MAX_DEPLOYMENTS, _MAX_FLAGS, _MAX_CODES = 512, 40, 80
_OTHERS = "(others)"
_FOR_EVER = "9999"
_SLOWEST, _EXAMPLES, _SHOWN_OF_A_CODE = 10, 3, 250


@dataclass(frozen=True, slots=True)
class Folder:
    """An output folder, with its last run's record and timeline.

    `unended_since_utc` is the start of a run that goes on, or was killed; empty if there is none.
    """

    path: Path
    run: dict[str, Any]
    timeline: dict[str, Any]
    unended_since_utc: str = ""

    @property
    def captions(self) -> Path:
        """One line for each captioned clip."""
        return self.path / CAPTIONS

    @property
    def failures(self) -> Path:
        """One line for each clip that stands failed."""
        return self.path / FAILURES


def open_folder(path: Path) -> Folder:
    """Read the small files. Blocks."""
    run, timeline = read_run(path), read_object(path / TIMELINE)
    if text_in(timeline, "started_at_utc") != text_in(run, "started_at_utc"):
        timeline = {}  # the timeline of a run that did not finish
    return Folder(path, run, timeline, unended_since(path))


@dataclass(slots=True)
class Group:
    """The captions of one deployment in the last run."""

    captions: int = 0
    prompt_tokens: float = 0
    completion_tokens: float = 0
    request: Histogram = field(default_factory=Histogram)
    first_token: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class Survey:
    """Counts over the whole folder, and of the last run that ended where `run` says so.

    `slowest` holds (seconds, offset), the slowest last. `has_names` says that a clip may have
    several lines, one for each request.
    """

    since_utc: str
    until_utc: str
    settings: dict[str, Any]
    choice: Choice
    has_names: bool = False
    captioned: int = 0
    captioned_run: int = 0
    unreadable: int = 0
    flagged: int = 0
    with_sound: int = 0
    payload_bytes: float = 0
    prompt_tokens: float = 0
    completion_tokens: float = 0
    cached_tokens: float = 0
    caption_chars: Histogram = field(default_factory=Histogram)
    prompt: Histogram = field(default_factory=Histogram)
    completion: Histogram = field(default_factory=Histogram)
    stages: dict[str, Histogram] = field(default_factory=lambda: {n: Histogram() for n in STAGES})
    total: Histogram = field(default_factory=Histogram)
    flags: Counter[str] = field(default_factory=Counter)
    footage: Footage = field(default_factory=Footage)
    deployments: dict[str, Group] = field(default_factory=dict)
    slowest: list[tuple[float, int]] = field(default_factory=list)
    failed: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[str, Sample] = field(default_factory=dict)

    @property
    def noun(self) -> str:
        """What a captions line counts as."""
        return "captions" if self.has_names else "clips"

    def lines_in_words(self, number: int) -> str:
        """A number of lines of both files, in words."""
        if self.has_names:
            return f"{text.count(number)} captions and failures"
        return f"{text.count(number)} clip{'' if number == 1 else 's'}"

    def add_caption(self, line: Line) -> None:
        """Count one captions line."""
        record = line.record
        flags = flags_of(record, self.settings)
        self.captioned += 1
        self.has_names = self.has_names or bool(text_in(record, "request"))
        self.flagged += is_flagged(flags)
        self.flags.update(self._bounded(flags, self.flags, _MAX_FLAGS))
        self.caption_chars.add(len(text_in(record, "caption")))
        self.choice.add(text_in(record, "clip_id"), line.offset, is_flagged=is_flagged(flags))
        self._add_sizes(record)
        self.footage.add(record)
        if self.since_utc <= text_in(record, "completed_at_utc") <= self.until_utc:
            self._add_to_run(line)

    def add_failure(self, line: Line) -> None:
        """Count one failures line."""
        code = text_in(line.record, "code") or "unknown"
        (code,) = self._bounded([code], self.codes, _MAX_CODES)
        self.failed += 1
        self.has_names = self.has_names or bool(text_in(line.record, "request"))
        self.codes[code] += 1
        if len(self.examples[code]) < _EXAMPLES:
            self.examples[code].append(line.record)
        sample = self.failures.setdefault(code, Sample(_SHOWN_OF_A_CODE))
        sample.add(text_in(line.record, "clip_id"), line.offset)

    def _add_sizes(self, record: dict[str, Any]) -> None:
        media, usage = table_in(record, "media"), table_in(record, "usage")
        self.with_sound += media.get("has_audio") is True
        self.payload_bytes += number_in(media, "payload_bytes") or 0
        self.prompt_tokens += _measured(self.prompt, measure_in(usage, "prompt_tokens"))
        completion = measure_in(usage, "completion_tokens")
        self.completion_tokens += _measured(self.completion, completion)
        self.cached_tokens += number_in(usage, "cached_tokens") or 0

    def _add_to_run(self, line: Line) -> None:
        record = line.record
        latency, usage = table_in(record, "latency"), table_in(record, "usage")
        self.captioned_run += 1
        stages = stages_of(record)
        for name, spread in self.stages.items():
            _measured(spread, stages[name])
        total_s = number_in(latency, "total_s") or 0.0
        self.total.add(total_s)
        heapq.heappush(self.slowest, (total_s, line.offset))
        if len(self.slowest) > _SLOWEST:
            heapq.heappop(self.slowest)
        (name,) = self._bounded([text_in(record, "deployment")], self.deployments, _MAX_DEPLOYMENTS)
        group = self.deployments.setdefault(name, Group())
        group.captions += 1
        group.prompt_tokens += number_in(usage, "prompt_tokens") or 0
        group.completion_tokens += number_in(usage, "completion_tokens") or 0
        _measured(group.request, number_in(latency, "request_s"))
        _measured(group.first_token, stages["first token"])

    @staticmethod
    def _bounded(names: list[str], known: dict[str, Any], most: int) -> list[str]:
        # The names are untrusted, so there may be as many as lines.
        return [name if name in known or len(known) < most else _OTHERS for name in names]


def _measured(spread: Histogram, value: float | None) -> float:
    if value is None:
        return 0.0
    spread.add(value)
    return value


def take_survey(folder: Folder, sample: int | None) -> Survey:
    """Read both line files completely, a line at a time. Blocks.

    Raises:
        ConfigError: a file cannot be read.
    """
    settings = job_table_in(folder.run, "media")
    since_utc, until_utc = (text_in(folder.run, key) for key in ("started_at_utc", "ended_at_utc"))
    survey = Survey(since_utc, until_utc or _FOR_EVER, settings, Choice(sample))
    adders = {folder.captions: survey.add_caption, folder.failures: survey.add_failure}
    for path, add in adders.items():
        for line in read_lines(path):
            if line.record:
                add(line)
            else:
                survey.unreadable += 1
    return survey
