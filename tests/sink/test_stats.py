"""Totals, rates and percentiles."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import JobConfig
from captionfleet.errors import FailureCode
from captionfleet.ledger.format.serialising import document
from captionfleet.measures import Measurements, Percentiles
from captionfleet.messages import Latency, Usage
from captionfleet.sink.stats import RunStatistics
from captionfleet.sink.summary import Ending, RunSummary, _bottleneck, summarise
from captionfleet.telemetry import Tally
from captionfleet.text import UNKNOWN
from tests.support.outcomes import make_caption, make_clip, make_failure

NOW_S = 10_000.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates are of a time that has passed, however long a test takes."""
    monkeypatch.setattr("captionfleet.telemetry.tally.monotonic_s", lambda: NOW_S)


def percentiles_of(values: Iterable[float]) -> Percentiles | None:
    """What they come to."""
    measured = Measurements()
    for value in values:
        measured.add(value)
    return measured.percentiles()


def test_a_clip_counts_once_whichever_of_its_requests_fails() -> None:
    """Footage and preparing are those of clips with any caption; what is sent, of every caption."""
    statistics, seen = RunStatistics(observe=lambda *observed: seen.append(observed[1])), []
    for number, names in enumerate([("a", "b", "c"), ("b",), ("a", "b")]):
        clip = replace(make_clip(number), requests=names)
        for name in names:
            made = make_failure(clip) if name == "a" else make_caption(clip)
            statistics.add(replace(made, request=name))
    assert statistics.requests == {"b": 3, "c": 1}
    assert statistics.source_s == 3 * 60.0
    latencies = statistics.latencies()
    assert latencies["prepare_s"] is not None
    assert latencies["request_s"] is not None
    assert (latencies["prepare_s"].count, latencies["request_s"].count) == (3, 4)
    assert seen == [False, True, False, True, False, True]


values = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


@given(values)
def test_a_percentile_is_the_smallest_value_that_covers_its_share(measured: list[float]) -> None:
    """At least 90 % of the values are at most p90, and fewer than 90 % are below it."""
    spread = percentiles_of(measured)

    assert spread is not None
    for share, value in ((0.5, spread.p50), (0.9, spread.p90), (0.99, spread.p99), (1, spread.max)):
        assert value in measured
        assert sum(one <= value for one in measured) >= share * len(measured)
        assert sum(one < value for one in measured) < share * len(measured)
    assert (spread.count, spread.sum) == (len(measured), pytest.approx(sum(measured)))


def test_percentiles_of_a_hundred_values() -> None:
    """The percentiles of 1 to 100 are what everybody expects."""
    spread = percentiles_of(range(100, 0, -1))

    assert spread == Percentiles(
        100, 50.5, pytest.approx(28.866, abs=1e-3), 50.0, 90.0, 99.0, 100.0, 5050.0
    )


def test_percentiles_of_a_long_run_take_no_more_memory() -> None:
    """From the 131,072nd value on no more are kept, and the figures stay right."""
    count, measured = 400_000, Measurements()
    for number in range(count):
        measured.add(float(number))
    spread = measured.percentiles()

    assert len(measured._kept) < 2**17
    assert spread is not None
    assert (spread.count, spread.max, spread.mean) == (count, count - 1, (count - 1) / 2)
    assert spread.p50 == pytest.approx(0.5 * count, rel=1e-4)
    assert spread.p99 == pytest.approx(0.99 * count, rel=1e-4)


def test_nothing_measured_is_no_percentile() -> None:
    """Without values there is no percentile, rather than a zero."""
    assert percentiles_of(()) is None


def run_of(captioned: int = 3, failed: int = 1, **counts: Any) -> tuple[Tally, RunStatistics]:
    """The state after a run of a hundred seconds."""
    statistics = RunStatistics()
    for number in range(captioned):
        latency = Latency(2.0, 1.0, 3.0 + number, None if number else 0.5, 6.0)
        statistics.add(make_caption(latency=latency, usage=Usage(1000, 50, 1050, 10)))
    for _ in range(failed):
        statistics.add(make_failure())
    tally = Tally(
        planned=captioned + failed,
        captioned=captioned,
        failed=failed,
        prompt_tokens=captioned * 1000,
        completion_tokens=captioned * 50,
        started_s=NOW_S - 100,
        workers_busy_s=150,
        in_flight_s=800,
        max_in_flight=12,
    )
    for name, value in counts.items():
        setattr(tally, name, value)
    return tally, statistics


def summary_of(tally: Tally, statistics: RunStatistics, **choice: Any) -> RunSummary:
    """The bottom line under a job with two workers."""
    job = JobConfig.model_validate({"workers": {"processes": 2}, "output": {"dir": "out"}})
    ending = Ending(**{"ended": "complete", "started_at_utc": "T", **choice})
    return summarise(tally, statistics, job, ending)


def test_a_summary_holds_what_was_asked_for() -> None:
    """Counts, rates, latencies, tokens and where the time went follow from the outcomes."""
    summary = summary_of(*run_of(already_captioned=7, retries=2))

    assert (summary.planned, summary.captioned, summary.failed, summary.unfinished) == (4, 3, 1, 0)
    assert (summary.exit_code, summary.already_captioned, summary.retries) == (1, 7, 2)
    assert summary.failures_by_code == {"timeout": 1}
    assert summary.clips_per_s == pytest.approx(0.03, rel=0.01)
    assert summary.source_hours == pytest.approx(3 * 60 / 3600)
    assert summary.source_hours_per_hour == pytest.approx(1.8, rel=0.01)
    assert (summary.prompt_tokens, summary.completion_tokens) == (3000, 150)
    assert summary.prompt_tokens_per_s == pytest.approx(30, rel=0.01)
    assert summary.attempts == 3 + 2
    assert summary.deployments == {"omni-a": 3}
    assert summary.finish_reasons == {"stop": 3}
    latency = summary.latency["request_s"], summary.latency["ttft_s"]
    assert latency[0] == Percentiles(
        3, 4.0, pytest.approx(0.8165, abs=1e-4), 4.0, 5.0, 5.0, 5.0, 12.0
    )
    assert latency[1] == Percentiles(1, 0.5, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5)
    assert summary.time_share["workers_busy"] == pytest.approx(0.75, rel=0.01)
    assert summary.time_share["mean_in_flight"] == pytest.approx(8, rel=0.01)
    assert summary.time_share["prepare_s"] == 6.0


@pytest.mark.parametrize(
    ("failed", "standing", "given_code", "exit_code"),
    [(0, 0, None, 0), (1, 0, None, 1), (0, 1, None, 1), (1, 0, 143, 143)],
)
def test_the_exit_code_tells_whether_all_is_captioned(
    failed: int, standing: int, given_code: int | None, exit_code: int
) -> None:
    """0 only if no clip stands failed, unless the run ended for another reason."""
    summary = summary_of(*run_of(failed=failed, standing_failures=standing), exit_code=given_code)

    assert summary.exit_code == exit_code


def test_clips_without_a_line_show() -> None:
    """A run that was stopped says how many clips it leaves."""
    summary = summary_of(*run_of(planned=9), ended="signal", exit_code=130)

    assert summary.unfinished == 5
    assert "5 left" in summary.text()
    assert "5 unfinished" in summary.mail_line()
    assert summary.mail_line().endswith("ended by signal: run the same command again to go on")
    assert "run the same command again to go on" in summary.text()


@pytest.mark.parametrize(
    "wrong",
    [{"planned": 5}, {"planned": 3}, {"captioned": 2, "planned": 3}, {"failed": 0, "planned": 3}],
)
def test_accounts_that_do_not_add_up_are_an_error(wrong: dict[str, int]) -> None:
    """A complete run in which a clip got lost or counted twice is a bug, told loudly."""
    tally, statistics = run_of()
    for name, value in wrong.items():
        setattr(tally, name, value)

    with pytest.raises(RuntimeError, match="do not add up"):
        summary_of(tally, statistics)


def test_an_empty_run_has_a_summary() -> None:
    """A run in which nothing was left to do divides nothing by zero."""
    summary = summary_of(Tally(), RunStatistics())

    assert summary.exit_code == 0
    assert summary.text().startswith("finished    nothing was left to caption\n")
    assert summary.mail_line().startswith("captionfleet: 0 captioned, 0 failed, ")


def test_a_summary_can_be_written_down() -> None:
    """run.json holds every figure and the settings, as plain JSON."""
    summary = summary_of(*run_of(passed_over=Counter(hidden=1)), torn_lines_repaired=1)

    record = orjson.loads(document(summary.as_dict()))

    assert record["captioned"] == 3
    assert record["latency"]["total_s"]["p99"] == 6.0
    assert record["torn_lines_repaired"] == 1
    assert record["settings"]["output"]["dir"] == str(Path("out"))
    assert record["passed_over"] == {"hidden": 1}


def test_a_deployment_that_refused_everything_is_named_with_its_words() -> None:
    """All clips may be captioned, and one deployment have done nothing for it."""
    words = "refuses every clip (HTTP 400: no such model)"
    summary = summary_of(*run_of(), refusing={"omni-b": words})

    assert f"omni-b {words}" in summary.text()
    assert summary.as_dict()["refusing"] == {"omni-b": words}


def test_a_hostile_server_cannot_fill_the_memory_with_reasons() -> None:
    """However many finish reasons a server invents, few are kept apart."""
    statistics = RunStatistics()
    for number in range(1000):
        statistics.add(make_caption(finish_reason=f"{number}" * 100))

    assert len(statistics.finish_reasons) <= 21
    assert sum(statistics.finish_reasons.values()) == 1000
    assert max(map(len, statistics.finish_reasons)) <= 40


def test_the_text_is_for_people() -> None:
    """The block names what the run did, aligned, in few lines."""
    tally, statistics = run_of(
        passed_over=Counter(not_video=2, hidden=1), standing_failures=1, already_captioned=9_000
    )

    summary = summary_of(tally, statistics, torn_lines_repaired=1, ignored_lines=2_000)
    lines = summary.text().splitlines()

    assert lines == [
        "finished    3 of 4 clips captioned, 1 failed (exit code 1)",
        "failed      1 timeout (no complete answer within timeout_s)",
        "skipped     9,000 captioned before, 1 failed for good before, 2 not video, 1 hidden",
        "took        1 min 40 s, 1.8 clips/min, 1.8 hours of video an hour, 3,150 tokens",
        *(line for line in lines if line.startswith("limited by")),
        "repaired    1 torn line(s) of a run that was killed",
        "warning     2,000 line(s) of captions.jsonl name no clip",
        "look at     out/captions.jsonl, out/failures.jsonl",
    ]
    assert len(summary.text(verbose=True).splitlines()) > 20


def test_no_percentile_of_values_too_few_for_one() -> None:
    """Of seven values the largest is the largest, and no p99."""
    tally, statistics = run_of()
    rows = summary_of(tally, statistics).text(verbose=True).splitlines()
    (row,) = [row for row in rows if row.startswith("  prepare")]
    assert row.split() == ["prepare", "2.00", "s", UNKNOWN, UNKNOWN, "2.00", "s", "2.00", "s"]


@pytest.mark.parametrize(("known", "exit_code"), [(True, 0), (False, 1)])
def test_known_failures_may_be_no_alarm(known: bool, exit_code: int) -> None:  # noqa: FBT001 - a table
    """A clip that stood failed before is no news; one that fails for the first time is."""
    statistics = RunStatistics(failed_before=lambda *_: known)
    statistics.add(make_failure())
    summary = summary_of(Tally(planned=1, planned_total=1, failed=1), statistics)
    assert (summary.exit_code, summary.exit_code_of_news) == (1, exit_code)
    assert summary.as_dict()["new_failures"] == int(not known)


def test_the_mail_line_tells_why_a_quiet_night_is_no_success() -> None:
    """Exit code 1 for failures of earlier nights is explained."""
    line = summary_of(Tally(standing_failures=3), RunStatistics()).mail_line()

    assert line.startswith("captionfleet: 0 captioned, 0 failed, 3 failed for good before, ")


def test_the_mail_line() -> None:
    """One line says what was done, what failed and why, how long it took and what it cost."""
    tally, statistics = run_of(captioned=1203, failed=2, passed_over=Counter(not_video=31))
    statistics.failures_by_code.clear()
    statistics.failures_by_code.update({FailureCode.UNDECODABLE: 1, FailureCode.TIMEOUT: 1})
    tally.started_s = NOW_S - 2 * 3600 - 11 * 60 - 1

    assert summary_of(tally, statistics).mail_line() == (
        "captionfleet: 1,203 captioned, 2 failed (1 undecodable, 1 timeout), 31 not video, "
        "2 h 11 min, 1.26M tokens"
    )


@pytest.mark.parametrize(
    ("workers_busy_s", "in_flight_s", "limit"), [(9.0, 2.0, "cores"), (2.0, 36.0, "deployments")]
)
def test_the_bottleneck_is_what_was_busier_for_the_time_it_had(
    workers_busy_s: float, in_flight_s: float, limit: str
) -> None:
    """The summary names cores or deployments, with the utilisation of each."""
    tally = Tally(workers_busy_s=workers_busy_s, in_flight_s=in_flight_s)
    assert _bottleneck(tally, worker_seconds=10.0, place_seconds=40.0) == {
        "limit": limit,
        "cores": workers_busy_s / 10,
        "deployments": in_flight_s / 40,
    }
